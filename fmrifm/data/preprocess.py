"""From a run on disk to a signal on the grid: position, z-score, coverage, quality, cleaning.

A run that already lies on the grid is not interpolated: its brain voxels are gathered. Any other goes
through `resample.py`. Both take blocks of volumes, so that memory holds the brain's voxels and no whole box.

Axes: X, Y, Z voxels of a box; T volumes; V brain voxels of the grid.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmrifm.config import CleaningConfig
from fmrifm.data.cleaning import clean_series
from fmrifm.data.confounds import read_confounds
from fmrifm.data.grid import Grid
from fmrifm.data.images import open_scan
from fmrifm.data.limits import Limits
from fmrifm.data.quality import scan_quality
from fmrifm.data.resample import brain_mask_on, gather, interpolate
from fmrifm.data.scan import ScanRecord

_COARSEST = 2.0
"""Longest voxel edge taken, as a multiple of the grid's: beyond it one voxel would fill more than 2^3 of the grid's."""
_FLAT = 1e-5
"""A deviation below this share of the mean is rounding of float32, not signal (BOLD varies by about 1e-2)."""


@dataclass(frozen=True, eq=False)
class PreparedScan:
    """A scan on the grid; `signal * deviation + mean` is the cleaned time course in the scan's own unit."""

    signal: NDArray[np.float32]
    """z-scored time courses, shape (T, V); 0 where the scan has no signal."""
    mean: NDArray[np.float32]
    """Temporal mean of each voxel before cleaning (which may remove it), shape (V,); 0 where not covered."""
    deviation: NDArray[np.float32]
    """Temporal standard deviation after cleaning, shape (V,); 0 where not covered."""
    tr_s: float
    """Repetition time of the signal in seconds."""
    own_tr_s: float
    """Repetition time of the run itself; another one where cleaning interpolated to a common one."""
    segments: list[int]
    """Lengths of the stretches without a gap, in volumes; they add up to T."""
    resampled: bool
    """False when the run already lay on the grid."""
    n_nonfinite: int
    """Voxels of the grid whose signal held NaN or infinity; they count as not covered."""
    n_unsteady: int
    """Volumes left out because the scanner was not in its steady state."""
    n_scrubbed: int
    """Volumes left out because of motion."""
    quality: Mapping[str, Any]
    """Measures of `quality.py`, taken before cleaning."""

    @property
    def covered(self) -> NDArray[np.bool_]:
        """True where the scan has signal, shape (V,)."""
        return self.deviation > 0

    @property
    def coverage(self) -> float:
        """Share of the brain mask with signal."""
        return float(self.covered.mean())


def prepare_scan(
    record: ScanRecord, grid: Grid, cleaning: CleaningConfig | None = None, limits: Limits | None = None
) -> PreparedScan:
    """Read one run and bring it to the grid.

    Args:
        record: Where the run is and what is known of it.
        grid: Where its voxels are to be.
        cleaning: What to remove from the time courses; nothing by default.
        limits: When to refuse it.

    Raises:
        DataError: The run cannot be used; the sentence says why.
    """
    cleaning, limits = cleaning or CleaningConfig(), limits or Limits()
    scan = open_scan(
        record.path,
        record.tr_s,
        sidecar_tr_s=record.sidecar_tr_s,
        min_volumes=limits.min_volumes,
        max_voxel_mm=_COARSEST * max(grid.spacing_mm),
        max_gib=limits.max_gib,
    )
    limits.check_field_of_view(scan, grid)
    limits.check_memory(scan, grid)
    confounds = read_confounds(record, cleaning.confounds, scan.image.shape[3])
    on_grid, fwhm_mm = grid.holds(scan.image), cleaning.smooth_fwhm_mm or 0.0
    raw = gather(scan, grid) if on_grid and not fwhm_mm else interpolate(scan, grid, fwhm_mm)
    limits.check_finite(scan.path, raw.broken)
    present = raw.present if record.brain_mask is None else raw.present & brain_mask_on(grid, record.brain_mask)
    mean, deviation = _standardise(raw.series, present, confounds.steady)
    limits.check_varies(scan.path, deviation)
    quality = scan_quality(_only(raw.series, confounds.steady), mean, deviation, scan.tr_s)
    cleaned = clean_series(raw.series, cleaning, confounds, scan.tr_s, record.path)
    limits.check_length(scan.path, cleaned.segments)
    if cleaned.series is not raw.series:
        every = np.ones(len(cleaned.series), dtype=bool)
        deviation = deviation * _standardise(cleaned.series, deviation > 0, every)[1]
    limits.check_coverage(scan.path, deviation)
    return PreparedScan(
        signal=cleaned.series,
        mean=np.where(deviation > 0, mean, 0.0).astype(np.float32),
        deviation=deviation,
        tr_s=cleaned.tr_s,
        own_tr_s=scan.tr_s,
        segments=cleaned.segments,
        resampled=not on_grid,
        n_nonfinite=int(raw.broken.sum()),
        n_unsteady=int((~confounds.steady).sum()),
        n_scrubbed=int((confounds.steady & ~confounds.kept).sum()),
        quality=quality,
    )


def _standardise(
    series_TV: NDArray[np.float32], present: NDArray[np.bool_], steady: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """z-score each voxel over time, in place; all volumes, by the mean and deviation of the steady ones.

    Returns:
        Mean and deviation, (V,); the deviation, and the signal, are 0 where there is none.
    """
    # Summed in float64: over hundreds of volumes of some thousands, float32 loses a thousandth of a deviation.
    mean = _only(series_TV, steady).mean(axis=0, dtype=np.float64).astype(np.float32)
    series_TV -= mean
    deviation = _only(series_TV, steady).std(axis=0)
    deviation[~(present & (deviation > _FLAT * np.abs(mean)))] = 0.0
    series_TV *= np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    return mean, deviation


def _only(series_TV: NDArray[np.float32], chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
    return series_TV if chosen.all() else series_TV[chosen]
