"""Clean time courses with nilearn, cut out scrubbed volumes, bring them to a common repetition time.

Axes: T volumes, V brain voxels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nilearn.signal import clean
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from fmrifm.config import CleaningConfig
from fmrifm.data.confounds import Confounds
from fmrifm.errors import DataError

_SAME = 0.01
"""Share by which two repetition times may differ and count as one."""
_AT_ONCE = 4096
"""Voxels interpolated at a time, to bound memory."""


@dataclass(frozen=True, eq=False)
class Cleaned:
    """Time courses after cleaning."""

    series: NDArray[np.float32]
    """Shape (T, V); the mean may be gone."""
    segments: list[int]
    """Lengths of the stretches without a gap, in volumes; they add up to T."""
    tr_s: float
    """Repetition time in seconds."""


def clean_series(
    series_TV: NDArray[np.float32], cleaning: CleaningConfig, confounds: Confounds, tr_s: float, path: Path
) -> Cleaned:
    """Remove confounds, trend and frequencies, then volumes that are not to be kept, then resample in time.

    Args:
        series_TV: Time courses of all volumes.
        cleaning: What to do.
        confounds: Regressors, and which volumes to keep; a filter sees the others interpolated (nilearn).
        tr_s: Repetition time in seconds.
        path: The scan, for error messages.

    Raises:
        DataError: The run cannot be cleaned as asked.
    """
    filtered = bool(cleaning.high_pass_hz or cleaning.low_pass_hz)
    kept = np.flatnonzero(confounds.kept)
    if len(kept) == 0:
        raise DataError(f"{path}: scrubbing leaves no volume. Leave `scrub` out of cleaning.confounds.")
    try:
        if cleaning.detrend or filtered or confounds.regressors is not None:
            series_TV = clean(
                series_TV,
                detrend=cleaning.detrend,
                standardize=None,
                confounds=confounds.regressors,
                sample_mask=None if confounds.kept.all() else kept,
                filter="butterworth" if filtered else False,
                high_pass=cleaning.high_pass_hz,
                low_pass=cleaning.low_pass_hz,
                t_r=tr_s,
            ).astype(np.float32, copy=False)
        elif not confounds.kept.all():
            series_TV = series_TV[kept]
    except ValueError as error:  # from nilearn: the run is too short for the band, or the band too wide for the run
        raise DataError(f"{path}: cannot be cleaned as asked ({error}). Change the `cleaning` settings.") from None
    segments = segment_lengths(kept)
    if cleaning.tr_s is None or np.isclose(cleaning.tr_s, tr_s, rtol=_SAME):
        return Cleaned(series_TV, segments, tr_s)
    _check_aliasing(cleaning.low_pass_hz, tr_s, cleaning.tr_s, path)
    return _resampled(series_TV, segments, tr_s, cleaning.tr_s)


def segment_lengths(kept: NDArray[np.integer]) -> list[int]:
    """Lengths of the runs of consecutive numbers: [0, 1, 2, 5, 6] gives [3, 2]."""
    gaps = np.flatnonzero(np.diff(kept) > 1) + 1
    return np.diff([0, *gaps, len(kept)]).tolist()


def _check_aliasing(low_pass_hz: float | None, tr_s: float, wanted_s: float, path: Path) -> None:
    nyquist = 0.5 / wanted_s
    if wanted_s > tr_s and (low_pass_hz is None or low_pass_hz > nyquist):
        raise DataError(
            f"{path}: at {tr_s:g} s it is faster than cleaning.tr_s {wanted_s:g} s, so what lies above {nyquist:.3g} "
            f"Hz would be folded into slower signal. Set cleaning.low_pass_hz to {nyquist:.3g} or less."
        )


def _resampled(series_TV: NDArray[np.float32], segments: Sequence[int], tr_s: float, wanted_s: float) -> Cleaned:
    """Cubic splines through each segment, from its first volume on; nothing is extrapolated."""
    parts = [_spline(part, tr_s, wanted_s) for part in np.split(series_TV, np.cumsum(segments)[:-1])]
    return Cleaned(np.concatenate(parts), [len(part) for part in parts], wanted_s)


def _spline(segment_TV: NDArray[np.float32], tr_s: float, wanted_s: float) -> NDArray[np.float32]:
    if len(segment_TV) == 1:
        return segment_TV
    old = tr_s * np.arange(len(segment_TV))
    new = wanted_s * np.arange(int(old[-1] / wanted_s + 1e-6) + 1)
    blocks = np.array_split(segment_TV, range(_AT_ONCE, segment_TV.shape[1], _AT_ONCE), axis=1)
    return np.concatenate([CubicSpline(old, block)(new).astype(np.float32) for block in blocks], axis=1)
