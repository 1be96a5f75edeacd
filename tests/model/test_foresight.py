import pytest
import torch

from fmrifm.config import ModelConfig
from fmrifm.model import foresight
from fmrifm.model.foresight import Forecast, forecast_errors, past_of
from fmrifm.model.mae import MaskedAutoencoder
from fmrifm.model.tokens import Tokenizer

TR_S = torch.tensor([2.0, 2.0, 1.5])
SIZES = ModelConfig(width=24, layers=2, heads=6, queries=8, components=0)
CHUNK = torch.tensor([[0, 5, 2], [1, 4, 3], [5, 0, 1]])


@pytest.fixture
def foreseeing(any_tokenizer) -> MaskedAutoencoder:
    """Windows of 6 volumes in 2 time patches of 3, every weight moved off its quiet start."""
    torch.manual_seed(0)
    model = MaskedAutoencoder(any_tokenizer, SIZES, foresees=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model.eval()


def foresee(model: MaskedAutoencoder, signal: torch.Tensor) -> Forecast:
    covered = torch.ones(signal.shape[0], signal.shape[2], dtype=torch.bool)
    with torch.no_grad():
        return model.foresee(signal, covered, TR_S, CHUNK)


def in_chunks(tokenizer: Tokenizer, values: torch.Tensor) -> torch.Tensor:
    """Values of voxels, shape (3, V), at the places of the asked chunks, shape (3, 3, P, 1)."""
    tokens = tokenizer.split(values[:, None].expand(-1, tokenizer.window, -1))
    return tokens[torch.arange(3)[:, None], CHUNK][..., :1]


def test_whatever_comes_next_the_prediction_is_the_same(foreseeing, signal):
    before = foresee(foreseeing, signal)
    changed = signal.clone()
    changed[:, 3:] = 1e3 * torch.randn(3, 3, signal.shape[2])
    after = foresee(foreseeing, changed)
    assert torch.equal(after.prediction, before.prediction)
    assert not torch.equal(after.target, before.target)


def test_a_scale_by_the_whole_scan_cancels(foreseeing, signal):
    """The z-score of a store tells of the future, but as one factor and offset a voxel."""
    factor, offset = 0.5 + torch.rand(3, signal.shape[2]), torch.randn(3, signal.shape[2])
    plain, moved = foresee(foreseeing, signal), foresee(foreseeing, factor[:, None] * signal + offset[:, None])
    factor, offset = (in_chunks(foreseeing.tokenizer, values) for values in (factor, offset))
    expected = factor * plain.prediction + offset
    torch.testing.assert_close(moved.prediction[plain.weight], expected[plain.weight], atol=1e-4, rtol=1e-4)


def test_a_scale_by_the_whole_window_would_leak(foreseeing, signal, monkeypatch):
    """The laws above can fail: here the future has its say in the scale."""
    whole = past_of(foreseeing.tokenizer.split(signal).unflatten(1, (2, -1)))
    before = foresee(foreseeing, signal).prediction
    monkeypatch.setattr(foresight, "past_of", lambda tokens: whole)
    assert (foresee(foreseeing, signal).prediction - before).abs().max() > 1e-3


def test_at_first_the_mean_of_the_past_is_expected(any_tokenizer, signal):
    forecast = foresee(MaskedAutoencoder(any_tokenizer, SIZES, foresees=True), signal)
    expected = in_chunks(any_tokenizer, signal[:, :3].mean(dim=1)).expand(-1, -1, -1, 3)
    torch.testing.assert_close(forecast.prediction[forecast.weight], expected[forecast.weight], atol=1e-5, rtol=0)


def test_the_target_is_what_follows_and_the_last_volume_what_is_before(foreseeing, signal):
    forecast, tokenizer = foresee(foreseeing, signal), foreseeing.tokenizer
    voxel = tokenizer.voxel[4][tokenizer.valid[4]]
    torch.testing.assert_close(forecast.target[1, 1][tokenizer.valid[4]], signal[1, 3:6, voxel].T)
    torch.testing.assert_close(forecast.last[1, 1][tokenizer.valid[4]][:, 0], signal[1, 2, voxel])


def test_what_was_constant_before_is_not_counted(foreseeing, signal):
    tokenizer = foreseeing.tokenizer
    voxel = int(tokenizer.voxel[0][tokenizer.valid[0]][0])
    signal[0, :3, voxel] = 0.25
    counted = foresee(foreseeing, signal).weight[0, 0]
    assert not counted[(tokenizer.voxel[0] == voxel) & tokenizer.valid[0]].any()
    assert counted.sum() == tokenizer.valid[0].sum() - 1


def test_errors_are_those_counted_by_hand():
    prediction, target = torch.tensor([[[[1.0, 2.0], [9.0, 9.0]]]]), torch.tensor([[[[2.0, 4.0], [0.0, 0.0]]]])
    forecast = Forecast(prediction, target, torch.tensor([[[[5.0], [0.0]]]]), torch.tensor([[[True, False]]]))
    assert forecast_errors(forecast).tolist() == [[1.0, 4.0], [9.0, 1.0]]


def test_a_head_learns_how_the_next_volume_follows(tokenizer):
    """That of every region is its last but one."""
    torch.manual_seed(0)
    model = MaskedAutoencoder(tokenizer, SIZES, foresees=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(1)
    chunk = torch.arange(len(tokenizer.region)).expand(8, -1)
    covered = torch.ones(8, tokenizer.voxels, dtype=torch.bool)
    for _ in range(100):
        drawn = torch.randn(8, 6, tokenizer.regions + 1, generator=generator)
        drawn[:, 3] = drawn[:, 1]
        forecast = model.foresee(drawn[:, :, tokenizer.region_of_voxel], covered, torch.full((8,), 2.0), chunk)
        error = (forecast.prediction - forecast.target)[..., 0].square()
        optimizer.zero_grad()
        error[forecast.weight].mean().backward()
        optimizer.step()
    ours, persistence = forecast_errors(forecast)[:, 0]
    assert ours < 0.1 * persistence


def test_a_window_of_one_time_patch_has_no_past(chunks, labels):
    whole = Tokenizer(chunks, window=6, patch=6, voxels=len(labels))
    with pytest.raises(ValueError, match="no past"):
        MaskedAutoencoder(whole, SIZES, foresees=True)


def test_a_model_without_the_head_does_not_foresee(model, signal):
    with pytest.raises(ValueError, match="not trained to predict"):
        foresee(model, signal)
