import numpy as np
import pytest
import torch

from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.time_course import time_course
from fmrifm.training.checkpoint import Pretrained


@pytest.fixture
def windows(store: Store) -> Windows:
    return Windows(store, ["s00_1", "s01_1"], 8)


def names(pretrained: Pretrained) -> list[str]:
    return [f"region {value}" for value in pretrained.model.tokenizer.values]


def means(pretrained: Pretrained, store: Store, region: int) -> np.ndarray:
    tokenizer = pretrained.model.tokenizer
    return store.window("s00_1", 0, 8)[:, tokenizer.region_of_voxel.numpy() == region].mean(axis=1)


def test_the_true_course_is_the_mean_of_the_region_voxels(
    pretrained: Pretrained, store: Store, windows: Windows
) -> None:
    found = time_course(pretrained.model, windows, names(pretrained), seed=0)
    region = names(pretrained).index(found["region"])
    assert len(found["true"]) == len(found["predicted"])
    assert len(found["true"]) % 8 == 0
    np.testing.assert_allclose(found["true"][:8], means(pretrained, store, region), atol=1e-5)
    assert found["tr_s"] == pytest.approx(windows.tr_s[0])
    left, total = np.square(found["true"] - found["predicted"]).sum(), np.square(found["true"]).sum()
    assert found["r2"] == pytest.approx(1 - left / total)


def test_a_model_that_predicts_the_mean_has_no_skill_and_no_correlation(
    pretrained: Pretrained, windows: Windows
) -> None:
    torch.nn.init.zeros_(pretrained.model.decoder.output.weight)
    found = time_course(pretrained.model, windows, names(pretrained), seed=0)
    assert found["r2"] == 0
    assert np.isnan(found["correlation"])
    assert not found["predicted"].any()


def test_windows_follow_each_other_inside_the_longest_segment(pretrained: Pretrained, windows: Windows) -> None:
    lengths = windows.segments[0]
    windows.segments[0] = [3, sum(lengths) - 3]
    found = time_course(pretrained.model, windows, names(pretrained), seed=0)
    assert len(found["true"]) == (sum(lengths) - 3) // 8 * 8
