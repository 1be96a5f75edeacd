import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from fmrifm.data.encoding import decode, encode
from fmrifm.data.quality import dvars, region_coverage, scan_quality, signature, spikes, uncovered_regions


def z_scored(series: np.ndarray) -> np.ndarray:
    return ((series - series.mean(axis=0)) / series.std(axis=0)).astype(np.float32)


def bold(volumes: int, tr_s: float, *, seed: int = 0, voxels: int = 600) -> np.ndarray:
    """Fluctuations that fall with frequency, thermal noise, and a slow drift."""
    rng = np.random.default_rng(seed)
    hertz = np.fft.rfftfreq(volumes, tr_s)
    weight = np.where(hertz > 0.1, 0.3, 1.0) / np.sqrt(np.maximum(hertz, 0.01))
    slow = np.fft.irfft(np.fft.rfft(rng.normal(size=(volumes, voxels)), axis=0) * weight[:, None], n=volumes, axis=0)
    return slow / slow.std() + rng.normal(size=slow.shape) + np.linspace(-0.3, 0.3, volumes)[:, None]


def quality(series: np.ndarray, tr_s: float = 2.0, mean: float = 100.0, deviation: float = 2.0) -> dict:
    per_voxel = np.ones(series.shape[1], np.float32)
    return scan_quality(z_scored(series), mean * per_voxel, deviation * per_voxel, tr_s)


def test_tsnr_is_the_median_over_covered_voxels() -> None:
    signal, mean = z_scored(bold(50, 2.0, voxels=5)), np.array([100, 100, 300, 0, 0], np.float32)
    signal[:, 3:] = 0
    deviation = np.array([2, 1, 1, 0, 0], np.float32)
    assert scan_quality(signal, mean, deviation, 2.0)["tsnr"] == 100.0


@pytest.mark.parametrize("mean", [0.0, 1e-3, -1.5, 1.9])
def test_a_scan_whose_mean_was_removed_has_no_tsnr(mean: float) -> None:
    assert np.isnan(quality(bold(50, 2.0), mean=mean)["tsnr"])


def test_drift_is_the_share_that_a_line_explains() -> None:
    line = np.linspace(-1, 1, 200)[:, None] * np.ones(30)
    noise = np.random.default_rng(0).normal(size=(200, 30))
    assert quality(line + 1e-9 * noise)["drift"] == pytest.approx(1.0, abs=1e-4)
    assert quality(noise)["drift"] == pytest.approx(1 / 199, abs=2e-3)
    assert quality(line / line.std() + noise)["drift"] == pytest.approx(0.5, abs=0.05)


def test_planted_spikes_are_counted_and_lie_where_they_were_planted() -> None:
    series = bold(150, 2.0)
    clean = quality(series)["n_spikes"]
    series[[40, 90]] += 8 * np.random.default_rng(1).normal(size=(2, 600))
    found = np.flatnonzero(spikes(dvars(z_scored(series), 600)))
    assert {39, 40, 89, 90} <= set(found.tolist())
    assert quality(series)["n_spikes"] <= clean + 4


def test_dvars_is_the_root_mean_square_change() -> None:
    signal = np.array([[0, 0, 0], [3, 4, 0], [3, 4, 0], [0, 4, 0]], np.float32)
    assert dvars(signal, 2) == pytest.approx([np.sqrt(12.5), 0, np.sqrt(4.5)])


def test_power_shares_of_pure_waves_lie_in_their_bands() -> None:
    seconds = 2.0 * np.arange(300)[:, None] * np.ones(8)
    for hertz, share in ((0.005, "power_low"), (0.05, "power_band"), (0.2, "power_high")):
        found = quality(np.sin(2 * np.pi * hertz * seconds))
        assert found[share] > 0.95
        assert found["power_low"] + found["power_band"] + found["power_high"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("tr_s", "volumes"), [(0.72, 600), (1.5, 230), (2.0, 150), (2.5, 120), (3.0, 100)])
@pytest.mark.parametrize(
    ("band_hz", "kind", "word"),
    [
        (None, None, "unfiltered"),
        (0.01, "highpass", "high-passed"),
        (0.008, "highpass", "high-passed"),
        (0.1, "lowpass", "low-passed"),
        ((0.01, 0.1), "bandpass", "band-passed"),
        ((0.009, 0.08), "bandpass", "band-passed"),
    ],
)
def test_a_filter_is_seen_in_the_spectrum_at_any_repetition_time(
    tr_s: float, volumes: int, band_hz: object, kind: str | None, word: str
) -> None:
    for seed in range(3):
        series = bold(volumes, tr_s, seed=seed)
        if kind is not None:
            series = sosfiltfilt(butter(5, band_hz, kind, fs=1 / tr_s, output="sos"), series, axis=0)
        assert quality(series, tr_s)["spectrum"] == word


def test_a_scan_too_short_to_tell_is_not_called_filtered() -> None:
    assert quality(bold(4, 2.0))["spectrum"] == "unfiltered"


def bits(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_the_same_signal_saved_twice_has_the_same_signature_and_another_scan_has_not() -> None:
    signal = z_scored(bold(120, 2.0, voxels=4000))
    rounded = z_scored(np.rint(500 + 20 * signal))
    noisy = z_scored(signal + 0.02 * np.random.default_rng(5).normal(size=signal.shape))
    assert bits(signature(signal), signature(decode(*encode(signal, "int8")))) <= 2
    assert bits(signature(signal), signature(rounded)) <= 2
    assert bits(signature(signal), signature(noisy)) <= 3
    others = [z_scored(bold(120, 2.0, voxels=4000, seed=seed)) for seed in range(1, 9)]
    assert min(bits(signature(signal), signature(other)) for other in others) > 12
    assert len(signature(signal)) == 16


def test_coverage_of_a_region_is_the_share_of_its_voxels() -> None:
    labels = np.array([0, 0, 3, 3, 3, 3, 170, 170, 0])
    covered = np.array([True, False, True, False, False, False, True, True, True])
    assert region_coverage(labels, [3, 170], covered).tolist() == [0.25, 1.0]


def test_a_region_is_uncovered_below_half() -> None:
    labels = np.array([0, 0, 3, 3, 3, 3, 170, 170, 170], np.int32)
    covered = np.array([False, False, True, True, False, False, True, False, False])
    assert uncovered_regions(labels, covered) == [170]
    assert uncovered_regions(labels, np.zeros(9, bool)) == [3, 170]
