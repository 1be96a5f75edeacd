import numpy as np
import pytest
import torch

from fmrifm.data.windows import Windows
from fmrifm.errors import DataError
from fmrifm.evaluation import foresight
from fmrifm.evaluation.foresight import foresight_scores, region_forecasts
from fmrifm.evaluation.prediction import forecast_table, references
from fmrifm.evaluation.series import stretches
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


CONTEXT = 10


@pytest.fixture
def carrying(store, pretrained):
    """A model that expects the last volume to stay."""
    model = build_model(store.grid, store.atlas, pretrained.tokens, pretrained.sizes, "next").eval()
    with torch.no_grad():
        model.next.carry.fill_(1.0)
    return model


@pytest.fixture
def cut(store, carrying):
    """Scan table and stretches of its regions; region 255 is not covered by all."""
    scans = store.scans.reset_index(drop=True)
    return scans, stretches(store, scans, carrying.tokenizer.region_of_voxel.numpy(), CONTEXT)


def test_a_model_that_carries_the_last_volume_on_is_persistence_of_region_means(store, carrying, cut):
    scans, found = cut
    at = [1, 4, 12]
    forecasts = region_forecasts(carrying, store, scans, found, at, CONTEXT)
    assert forecasts.origin.tolist() == [9, 12, 15, 18, 21, 24]
    assert forecasts.x.shape == (3, 6, 3, int(found.kept.sum()))
    expected = found.x[at][:, forecasts.origin][:, :, None].expand_as(forecasts.x)
    torch.testing.assert_close(forecasts.x, expected, rtol=1e-3, atol=1e-3)
    table = forecast_table(
        forecasts, references(found.x, CONTEXT, 4), found.x[at], scans["subject"][at], CONTEXT, 50,
        np.random.default_rng(0),
    )  # fmt: skip
    assert table["horizon"].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert table.loc[table["reference"] == "persistence", "skill"].abs().max() < 1e-3
    assert (table.loc[table["reference"] == "ar", "skill"] < -0.2).all()
    assert (table["n"] == 3).all()


def test_what_comes_after_the_last_known_volume_does_not_reach_a_forecast(store, pretrained):
    model = build_model(store.grid, store.atlas, pretrained.tokens, pretrained.sizes, "next").eval()
    with torch.no_grad():
        for parameter in model.next.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    signal = torch.from_numpy(store.window("s02_1"))
    changed = torch.cat([signal[:16], 50 * torch.randn(14, signal.shape[1])])
    first, second = (foresight._foretold(model, some, np.array([9, 12, 15]), 2.0) for some in (signal, changed))
    assert torch.equal(first, second)
    assert not torch.equal(first, foresight._foretold(model, changed, np.array([9, 12, 16]), 2.0))


def test_stretches_shorter_than_the_models_past_are_refused(store, carrying, cut):
    scans, found = cut
    with pytest.raises(DataError, match="30 volumes without a gap, expected at least 32: this model predicts 3"):
        region_forecasts(carrying, store, scans, found, [0], 29)
