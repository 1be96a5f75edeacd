"""Bring the stored numbers of a run to the brain voxels of the grid.

Linear interpolation: MNI grids differ by a shift and a spacing, where cubic splines took four times
as long and rang at edges (a 3 mm run on the 4 mm grid: temporal SNR 135 against 156). Voxels finer than
the grid's are first smoothed to the grid's resolution, because reading single points out of them
throws measurement away (then 164).

Axes: X, Y, Z voxels of the scan's box; T volumes; V brain voxels of the grid.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nilearn.image import resample_img, smooth_img
from numpy.typing import NDArray

from fmrifm.data.grid import Grid
from fmrifm.data.images import OpenScan, open_image

_AT_ONCE = 16
"""Volumes interpolated at a time: few enough for memory, enough to spread nilearn's overhead."""
_PRESENT = 0.9
"""Share of what is read for a grid voxel that must be signal; the rest may lie outside the field of view."""


@dataclass(frozen=True, eq=False)
class Raw:
    """Time courses of the brain voxels in the scan's own unit."""

    series: NDArray[np.float32]
    """Shape (T, V); finite."""
    present: NDArray[np.bool_]
    """True where they stem from voxels that vary, shape (V,)."""
    broken: NDArray[np.bool_]
    """True where they stem from NaN or infinity, shape (V,)."""


def field_of_view(image: nib.Nifti1Image, grid: Grid) -> float:
    """Share of the grid's brain voxels whose centres lie inside the image's box."""
    indices = nib.affines.apply_affine(np.linalg.inv(image.affine), grid.coordinates_mm)
    inside = ((indices > -0.5 - 1e-3) & (indices < np.array(image.shape[:3]) - 0.5 + 1e-3)).all(axis=1)
    return float(inside.mean())


def gather(scan: OpenScan, grid: Grid) -> Raw:
    """Take the brain voxels of a run that lies on the grid."""
    volumes = _volumes(scan.read())
    places = np.ravel_multi_index(tuple(grid.voxels.T), grid.shape, order="F")
    series = _scaled(np.take(volumes, places, axis=1), scan)
    broken = ~_finite(series)
    series[:, broken] = 0.0
    return Raw(series, ~broken, broken)


def interpolate(scan: OpenScan, grid: Grid, fwhm_mm: float) -> Raw:
    """Smooth and interpolate a run to the grid, a block of volumes at a time.

    Args:
        scan: The run.
        grid: Where its voxels are to be.
        fwhm_mm: Smoothing beyond the grid's resolution.
    """
    data = scan.read()
    shape, affine = data.shape[:3], scan.image.affine
    varies, finite = (flags.reshape(shape, order="F") for flags in _flags(_volumes(data), scan))
    series = np.empty((data.shape[3], len(grid.voxels)), np.float32)
    for start in range(0, len(series), _AT_ONCE):
        block = _scaled(data[..., start : start + _AT_ONCE], scan)
        block[~finite] = 0.0
        moved = _move(nib.Nifti1Image(block, affine), grid, fwhm_mm)
        series[start : start + _AT_ONCE] = grid.flatten(moved).T
    # Interpolation smears signal beyond the field of view; what it makes of ones and zeros shows where.
    present, broken = (
        grid.flatten(_move(nib.Nifti1Image(flags.astype(np.float32), affine), grid, fwhm_mm))
        for flags in (varies & finite, ~finite)
    )
    return Raw(series, present >= _PRESENT, broken > 1 - _PRESENT)


def brain_mask_on(grid: Grid, path: Path) -> NDArray[np.bool_]:
    """Which of the grid's brain voxels a mask image holds, shape (V,).

    Raises:
        DataError: It is no NIfTI image.
    """
    mask = open_image(path)
    binary = nib.Nifti1Image((np.asanyarray(mask.dataobj) > 0).astype(np.float32), mask.affine)
    return grid.flatten(_resampled(binary, grid)) >= 0.5


def _volumes(data: NDArray[Any]) -> NDArray[Any]:
    """One row a volume, (T, X * Y * Z) in Fortran order of the box: as it lies in memory."""
    return data.reshape(-1, data.shape[3], order="F").T


def _scaled(stored: NDArray[Any], scan: OpenScan) -> NDArray[np.float32]:
    # float32 holds 16-bit integers exactly; wider ones are scaled first, so that nothing is lost before.
    exact = stored.dtype.itemsize <= 2 or stored.dtype == np.float32
    scaled = stored.astype(np.float32 if exact else np.float64)
    if (scan.slope, scan.inter) != (1.0, 0.0):
        np.multiply(scaled, scan.slope, out=scaled)
        np.add(scaled, scan.inter, out=scaled)
    return scaled.astype(np.float32, copy=False)


def _finite(series: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Columns without NaN or infinity: one such number makes the sum of its column one."""
    suspects = ~np.isfinite(series.sum(axis=0, dtype=np.float64))
    finite = np.ones(series.shape[1], dtype=bool)
    finite[suspects] = np.isfinite(series[:, suspects]).all(axis=0)
    return finite


def _flags(volumes: NDArray[Any], scan: OpenScan) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which voxels of the box vary over time, and which are finite at all times."""
    varies = np.zeros(volumes.shape[1], dtype=bool)
    finite = np.ones(volumes.shape[1], dtype=bool)
    for volume in volumes:
        varies |= volume != volumes[0]
        if volume.dtype.kind == "f":
            finite &= np.isfinite(volume.astype(np.float32))
    return varies, finite


def _move(image: nib.Nifti1Image, grid: Grid, fwhm_mm: float) -> NDArray[np.float32]:
    return _resampled(_smooth(image, grid, fwhm_mm), grid)


def _smooth(image: nib.Nifti1Image, grid: Grid, fwhm_mm: float) -> nib.Nifti1Image:
    # Gaussian kernels in a row add the squares of their widths: this is what is missing to the grid's resolution.
    missing = np.square(grid.spacing_mm) - np.square(nib.affines.voxel_sizes(image.affine))
    width = np.sqrt(np.maximum(missing, 0) + fwhm_mm**2)
    if not (width > 0).any():
        return image
    smoothed = smooth_img(image, fwhm=width)
    # One volume after the other in memory: interpolated four times as fast.
    return nib.Nifti1Image(np.asfortranarray(smoothed.dataobj), image.affine)


def _resampled(image: nib.Nifti1Image, grid: Grid) -> NDArray[np.float32]:
    if grid.holds(image):
        return np.asarray(image.dataobj, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Resampling binary images")  # of field-of-view masks, on purpose
        moved = resample_img(image, grid.affine, grid.shape, interpolation="linear", force_resample=True, copy=False)
    return np.asarray(moved.dataobj, dtype=np.float32)
