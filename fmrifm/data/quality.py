"""Quality of one scan: what goes into the scan table and onto the quality page.

All measures are taken on the z-scored signal before cleaning, so that they tell what was measured.

Axes: T volumes, V brain voxels, P voxels looked at, F frequencies, R regions.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import periodogram

_SAMPLE = 2000
"""Voxels behind the frequency measures, evenly spaced: their mean spectrum is stable to 1 %, at a tenth of the time."""
_BAND_HZ = (0.01, 0.1)
"""The band of resting-state fluctuations (Biswal et al. 1995), and the one that ADHD-200's Athena pipeline keeps."""
_NO_DRIFT = 0.15
_NO_NOISE = 0.02
"""Power density below and above the band, as a share of that in the band, under which a filter has emptied it."""
_SPIKE = 1.5
"""A volume is a spike where its DVARS exceeds the upper quartile by so many interquartile ranges (Power et al. 2012;
FSL's fsl_motion_outliers)."""
_HALF = 0.5
"""Share of a region's voxels below which it counts as not covered."""
_SIGNATURE_BITS = 64
_SIGNATURE_SEED = 20120726
_STRIDE = 8
"""Every so many voxels enter the signature."""


def scan_quality(
    signal_TV: NDArray[np.float32], mean_V: NDArray[np.float32], deviation_V: NDArray[np.float32], tr_s: float
) -> dict[str, float | int | str]:
    """Measure one scan.

    Args:
        signal_TV: z-scored time courses; 0 where there is no signal.
        mean_V: Temporal mean in the scan's unit.
        deviation_V: Temporal deviation in the scan's unit; 0 where there is no signal.
        tr_s: Repetition time in seconds.

    Returns:
        tsnr: Median over voxels of mean / deviation; NaN where it is below 1, since then the mean was removed.
        drift: Share of the variance that a straight line over time explains, mean over voxels.
        n_spikes: Volumes that differ unusually from the one before.
        power_low, power_band, power_high: Share of power below, in and above .01 to .1 Hz.
        spectrum: `unfiltered`, `high-passed`, `low-passed` or `band-passed`.
        signature: Locality-sensitive hash, 16 hex digits; equal or a few bits off for the same signal saved twice.
    """
    covered = np.flatnonzero(deviation_V > 0)
    sample = covered[:: max(1, len(covered) // _SAMPLE)]
    signal_TP = signal_TV[:, sample]
    frequencies, power = _spectrum(signal_TP, tr_s)
    return {
        "tsnr": _tsnr(mean_V[covered] / deviation_V[covered]),
        "drift": round(_drift(signal_TP), 4),
        "n_spikes": int(spikes(dvars(signal_TV, len(covered))).sum()),
        **_shares(frequencies, power),
        "spectrum": _filtered(frequencies, power),
        "signature": signature(signal_TV),
    }


def dvars(signal_TV: NDArray[np.float32], covered: int) -> NDArray[np.float64]:
    """Root mean square over voxels of the change from the volume before, (T - 1,), in deviations of a voxel.

    References:
        Power et al. 2012, NeuroImage 59:2142.
    """
    change = np.empty(len(signal_TV) - 1)
    for volume in range(len(change)):
        step = signal_TV[volume + 1] - signal_TV[volume]
        change[volume] = np.sqrt(step @ step / covered)
    return change


def spikes(dvars_T: NDArray[np.float64]) -> NDArray[np.bool_]:
    """True for changes that stand out of the scan's own distribution."""
    lower, upper = np.quantile(dvars_T, [0.25, 0.75])
    return np.asarray(dvars_T > upper + _SPIKE * (upper - lower))


def signature(signal_TV: NDArray[np.float32]) -> str:
    """SimHash of the signal: the signs of fixed random projections (Charikar 2002), 16 hex digits.

    Scaling, rounding and an encoding leave it as it is; another scan differs in about half of the bits.
    """
    signal_TV = signal_TV[:, ::_STRIDE]
    rng = np.random.default_rng([_SIGNATURE_SEED, *signal_TV.shape])
    over_time = rng.standard_normal((_SIGNATURE_BITS, len(signal_TV)), np.float32) @ signal_TV
    over_space = rng.standard_normal((_SIGNATURE_BITS, signal_TV.shape[1]), np.float32)
    bits = np.einsum("bv,bv->b", over_time, over_space) > 0
    return np.packbits(bits).tobytes().hex()


def region_coverage(
    labels_V: NDArray[np.integer], values: Sequence[int] | NDArray[np.integer], covered_V: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Share of each region's voxels that a scan covers, shape (R,).

    Args:
        labels_V: Atlas value of each voxel.
        values: Atlas values asked for, each with a voxel.
        covered_V: True where the scan has signal.
    """
    size = np.bincount(labels_V)
    return np.asarray(np.bincount(labels_V, weights=covered_V)[values] / size[values])


def uncovered_regions(labels_V: NDArray[np.integer], covered_V: NDArray[np.bool_]) -> list[int]:
    """Atlas values of the regions on the grid of which less than half has signal; both arguments have shape (V,)."""
    values = np.unique(labels_V[labels_V > 0])
    return [int(value) for value in values[region_coverage(labels_V, values, covered_V) < _HALF]]


def _tsnr(ratio_V: NDArray[np.float32]) -> float:
    """A filtered scan without its mean has no tSNR; a measured one is far above 1."""
    median = float(np.median(ratio_V)) if len(ratio_V) else float("nan")
    return round(median, 2) if median >= 1 else float("nan")


def _drift(signal_TP: NDArray[np.float32]) -> float:
    line = np.linspace(-1, 1, len(signal_TP), dtype=np.float32)
    # Both have variance 1 after scaling, so the squared correlation is the share explained.
    return float(np.mean(np.square(line @ signal_TP / len(line) / line.std())))


def _spectrum(signal_TP: NDArray[np.float32], tr_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies (F,) in Hz and the mean power density of the voxels."""
    frequencies, power = periodogram(signal_TP, fs=1 / tr_s, window="hann", detrend="constant", axis=0)
    return frequencies[1:], power[1:].mean(axis=1)


def _shares(frequencies: NDArray[np.float64], power: NDArray[np.float64]) -> dict[str, float]:
    low, high = _BAND_HZ
    total = power.sum()
    return {
        "power_low": round(float(power[frequencies < low].sum() / total), 4),
        "power_band": round(float(power[(frequencies >= low) & (frequencies <= high)].sum() / total), 4),
        "power_high": round(float(power[frequencies > high].sum() / total), 4),
    }


def _filtered(frequencies: NDArray[np.float64], power: NDArray[np.float64]) -> str:
    """Whether the ends of the spectrum are empty beside its middle.

    An unfiltered scan's power falls with frequency, but never to nothing: above the band there is thermal noise,
    below it drift. A scan too short or too slow to have such frequencies is called unfiltered there.
    """
    low, high = _BAND_HZ
    in_band = (frequencies >= 1.5 * low) & (frequencies <= 0.8 * high)
    band = np.median(power[in_band]) if in_band.any() else 0.0
    below, above = power[frequencies < 0.5 * low], power[frequencies > 1.5 * high]
    high_passed = len(below) > 0 and below.mean() < _NO_DRIFT * band
    low_passed = len(above) > 0 and above.mean() < _NO_NOISE * band
    if high_passed and low_passed:
        return "band-passed"
    return "high-passed" if high_passed else "low-passed" if low_passed else "unfiltered"
