"""From a run on disk to a signal on the grid: position, cleaning, z-score, coverage.

A run that already lies on the grid is not interpolated. Any other is interpolated linearly:
MNI grids differ by a shift and a spacing, where cubic splines took four times as long and rang
at edges (a 3 mm run on the 4 mm grid: temporal SNR 135 against 156). Voxels finer than the grid's are first smoothed
to the grid's resolution, because reading single points out of them throws measurement away (then 164).

Axes: X, Y, Z voxels of a box; T volumes; V brain voxels of the grid.
"""

import warnings
from dataclasses import dataclass
from typing import cast

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.image import resample_img, smooth_img
from nilearn.interfaces.fmriprep import load_confounds
from nilearn.signal import clean
from numpy.typing import NDArray

from fmrifm.config import CleaningConfig
from fmrifm.data.grid import Grid
from fmrifm.data.images import OpenScan, open_scan
from fmrifm.data.scan import ScanRecord
from fmrifm.errors import ConfigError, DataError

_COARSEST = 2.0
"""Longest voxel edge taken, as a multiple of the grid's: beyond it one voxel would fill more than 2^3 of the grid's."""
_LEAST_COVERAGE = 0.01
"""A run with less of the brain than this share lies elsewhere, whatever is asked for."""
_PRESENT = 0.9
"""Share of what is read for a grid voxel that must be signal; the rest may lie outside the field of view."""
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
    """Repetition time in seconds."""
    resampled: bool
    """False when the run already lay on the grid."""
    n_nonfinite: int
    """Voxels of the run that held NaN or infinity; they count as not covered."""

    @property
    def covered(self) -> NDArray[np.bool_]:
        """True where the scan has signal, shape (V,)."""
        return self.deviation > 0

    @property
    def coverage(self) -> float:
        """Share of the brain mask with signal."""
        return float(self.covered.mean())


def prepare_scan(
    record: ScanRecord,
    grid: Grid,
    cleaning: CleaningConfig | None = None,
    *,
    min_volumes: int = 2,
    min_coverage: float = 0.0,
) -> PreparedScan:
    """Read one run and bring it to the grid.

    Args:
        record: Where the run is and what is known of it.
        grid: Where its voxels are to be.
        cleaning: What to remove from the time courses; nothing by default.
        min_volumes: Shortest run to take.
        min_coverage: Least share of the brain mask with signal; never below 1 %.

    Raises:
        DataError: The run cannot be used; the sentence says why.
    """
    scan = open_scan(record.path, record.tr_s, min_volumes=min_volumes, max_voxel_mm=_COARSEST * max(grid.spacing_mm))
    data = scan.read()
    broken = ~np.isfinite(data).all(axis=-1)
    data[broken] = 0.0
    series_TV, present = _to_grid(data, scan, grid)
    mean = _mean(series_TV)
    if cleaning is not None and cleaning != CleaningConfig():
        series_TV = _clean(series_TV, record, cleaning, scan.tr_s)
    signal, deviation = _standardise(series_TV, present, mean)
    prepared = PreparedScan(
        signal=signal,
        mean=np.where(deviation > 0, mean, 0.0).astype(np.float32),
        deviation=deviation,
        tr_s=scan.tr_s,
        resampled=not grid.holds(scan.image),
        n_nonfinite=int(broken.sum()),
    )
    if prepared.coverage < (least := max(min_coverage, _LEAST_COVERAGE)):
        raise DataError(
            f"{record.path}: signal in {prepared.coverage:.1%} of the brain mask, expected at least {least:.0%}. "
            "It is not in MNI space or has a partial field of view; normalise it, or lower --min_coverage."
        )
    return prepared


def uncovered_regions(labels: NDArray[np.int32], covered: NDArray[np.bool_]) -> list[int]:
    """Atlas values of the regions on the grid of which less than half has signal; both arguments have shape (V,)."""
    size = np.bincount(labels)
    hit = np.bincount(labels, weights=covered)
    return [int(value) for value in np.flatnonzero(size) if value and hit[value] < size[value] / 2]


def _to_grid(data: NDArray[np.float32], scan: OpenScan, grid: Grid) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Time courses of the brain voxels, (T, V), and where they stem from voxels that vary, (V,)."""
    varies = np.ptp(data, axis=-1) > 0
    if not grid.holds(scan.image):
        affine = scan.image.affine
        data = _move(nib.Nifti1Image(data, affine), grid)
        # Interpolation smears signal beyond the field of view; what it makes of ones and zeros shows where.
        varies = _move(nib.Nifti1Image(varies.astype(np.float32), affine), grid) >= _PRESENT
    return np.ascontiguousarray(grid.flatten(data).T), grid.flatten(varies)


def _smooth(image: nib.Nifti1Image, grid: Grid) -> nib.Nifti1Image:
    # Gaussian kernels in a row add the squares of their widths: this is what is missing to the grid's resolution.
    missing = np.square(grid.spacing_mm) - np.square(nib.affines.voxel_sizes(image.affine))
    if not (missing > 0).any():
        return image
    smoothed = smooth_img(image, fwhm=np.sqrt(np.maximum(missing, 0)))
    # One volume after the other in memory: interpolated four times as fast.
    return nib.Nifti1Image(np.asfortranarray(smoothed.dataobj), image.affine)


def _move(image: nib.Nifti1Image, grid: Grid) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Resampling binary images")  # of field-of-view masks, on purpose
        moved = resample_img(
            _smooth(image, grid), grid.affine, grid.shape, interpolation="linear", force_resample=True, copy=False
        )
    return np.asarray(moved.dataobj, dtype=np.float32)


def _clean(
    series_TV: NDArray[np.float32], record: ScanRecord, cleaning: CleaningConfig, tr_s: float
) -> NDArray[np.float32]:
    """Remove confounds, trend and frequencies; with confounds, first volumes flagged as unsteady are dropped too."""
    try:
        confounds, sample_mask = _confounds(record, cleaning)
        cleaned = clean(
            series_TV,
            detrend=cleaning.detrend,
            standardize=None,
            confounds=confounds,
            sample_mask=sample_mask,
            filter="butterworth" if cleaning.high_pass_hz or cleaning.low_pass_hz else False,
            high_pass=cleaning.high_pass_hz,
            low_pass=cleaning.low_pass_hz,
            t_r=tr_s,
        )
    except ValueError as error:  # from nilearn: a confound is missing, or the run is too short for the band
        raise DataError(
            f"{record.path}: cannot be cleaned as asked ({error}). Change the `cleaning` settings."
        ) from None
    return np.asarray(cleaned, dtype=np.float32)


def _confounds(record: ScanRecord, cleaning: CleaningConfig) -> tuple[pd.DataFrame | None, NDArray[np.int64] | None]:
    if not cleaning.confounds:
        return None, None
    if "scrub" in cleaning.confounds:
        raise ConfigError(
            "cleaning.confounds names `scrub`, which cuts volumes out of the middle of a run; windows need consecutive "
            "volumes. Leave it out."
        )
    if record.confounds is None:
        raise DataError(
            f"{record.path}: no confound table beside it, expected one for cleaning.confounds "
            f"{', '.join(cleaning.confounds)}. Use --source fmriprep, or leave the setting empty."
        )
    return cast(
        "tuple[pd.DataFrame, NDArray[np.int64] | None]",
        load_confounds(str(record.path), strategy=cleaning.confounds),
    )


def _standardise(
    series_TV: NDArray[np.float32], present: NDArray[np.bool_], mean: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """z-score each voxel over time: signal (T, V) and deviation (V,), both 0 where there is no signal."""
    centred = series_TV - _mean(series_TV)
    deviation = centred.std(axis=0)
    deviation[~(present & (deviation > _FLAT * np.abs(mean)))] = 0.0
    signal = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)
    return signal, deviation


def _mean(series_TV: NDArray[np.float32]) -> NDArray[np.float32]:
    # Summed in float64: over hundreds of volumes of some thousands, float32 loses a thousandth of a deviation.
    return np.asarray(series_TV.mean(axis=0, dtype=np.float64), dtype=np.float32)
