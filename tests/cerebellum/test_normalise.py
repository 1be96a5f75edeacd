import numpy as np
import pytest
import torch
from scipy.signal import butter, sosfiltfilt

from fmrifm.cerebellum.normalise import by_context, by_training, filter_warning, predictability, whole_scan


def looks_ahead(normalise, scans: torch.Tensor) -> float:
    """How much of what stands before frame 60 changes with frame 60."""
    changed = scans.clone()
    changed[:, 60] += 30
    return float((normalise(scans)[:, :60] - normalise(changed)[:, :60]).abs().max())


@pytest.mark.parametrize(
    "normalise", [lambda x: by_training(x, torch.ones(2, 3, 7).cumsum(1)), lambda x: by_context(x, 30)]
)
def test_a_normaliser_for_prediction_does_not_look_ahead(normalise, scans):
    assert looks_ahead(normalise, scans) <= 1e-6


def test_the_z_score_of_a_whole_scan_fails_that_test(scans):
    assert looks_ahead(whole_scan, scans) > 0.01


def test_training_scans_have_mean_0_and_deviation_1_after_it(scans):
    scaled = by_training(3 * scans[:4] + 5, 3 * scans + 5)
    torch.testing.assert_close(by_training(scans[:4], scans), scaled, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(by_training(scans, scans).mean(dim=(0, 1)), torch.zeros(7), atol=1e-5, rtol=0)


def test_the_context_has_mean_0_and_deviation_1_after_it(scans):
    scaled = by_context(100 + 7 * scans, 30)
    torch.testing.assert_close(scaled[:, :30].mean(dim=1), torch.zeros(24, 7), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled[:, :30].std(dim=1), torch.ones(24, 7), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("tr_s", "band"), [(2.0, (0.009, 0.08)), (2.0, (0.01, 0.1)), (2.5, (0.009, 0.08))])
def test_white_noise_after_a_zero_phase_band_pass_is_flagged(tr_s, band):
    noise = np.random.default_rng(0).normal(size=(10, 300, 5))
    filtered = sosfiltfilt(butter(2, band, btype="band", fs=1 / tr_s, output="sos"), noise, axis=1)
    said = filter_warning(torch.from_numpy(filtered.copy()).float())
    assert said is not None
    assert said.startswith("Filtered data")


def test_raw_noise_and_haemodynamic_scans_are_not_flagged(scans):
    noise = torch.randn(10, 300, 5, generator=torch.Generator().manual_seed(0))
    assert abs(predictability(noise)) < 0.05
    assert filter_warning(noise) is None
    assert filter_warning(scans) is None
