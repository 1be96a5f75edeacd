import numpy as np
import pytest
import torch

from fmrifm.data.windows import Windows
from fmrifm.evaluation.foresight import foresight_scores
from fmrifm.training.checkpoint import build_model


@pytest.fixture
def scores(store, pretrained):
    """Of a quiet head, which expects the mean of the past."""
    model = build_model(store.grid, store.atlas, pretrained.tokens, pretrained.sizes, "next").eval()
    windows = Windows(store, ["s02_1", "s03_1", "s00_1", "s00_2"], 8)
    in_pool = model.tokenizer.region_of_voxel < model.tokenizer.regions
    return in_pool, windows, foresight_scores(model, windows, np.array(["s02", "s03", "s00", "s00"]), seed=0)


def test_skill_is_one_less_the_errors_of_all_voxels_over_those_of_the_last_volume(scores):
    in_pool, windows, found = scores
    signal = torch.stack([windows[place].signal[:, in_pool] for scan in range(4) for place in windows.cover(scan)])
    mean, last = signal[:, :4].mean(dim=1), signal[:, 3]
    for ahead in range(3):
        true = signal[:, 4 + ahead]
        expected = 1 - (mean - true).square().sum() / (last - true).square().sum()
        assert found[f"skill_next_h{ahead + 1}"].value == pytest.approx(float(expected), abs=1e-4)


def test_the_interval_is_over_subjects(scores):
    *_, found = scores
    score = found["skill_next_h1"]
    assert score.n == 3
    assert score.ci_low < score.value < score.ci_high
