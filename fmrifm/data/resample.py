"""Bring the stored numbers of a run to the brain voxels of the grid.

Linear interpolation: MNI grids differ by a shift and a spacing, where cubic splines took four times
as long and rang at edges (a 3 mm run on the 4 mm grid: temporal SNR 135 against 156). Voxels finer than
the grid's are first smoothed to the grid's resolution, because reading single points out of them
throws measurement away (then 164).

Axes: X, Y, Z voxels of the scan's box; T volumes; V brain voxels of the grid.
"""

import warnings
from collections.abc import Iterator
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
    places = np.ravel_multi_index(tuple(grid.voxels.T), grid.shape, order="F")
    series = _empty(scan, grid)
    for start, block in _blocks(scan):
        _scale(np.take(_volumes(block), places, axis=1), scan, series[start : start + block.shape[3]])
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
    shape, affine = scan.image.shape[:3], scan.image.affine
    series, flags = _empty(scan, grid), _Flags(shape)
    for start, block in _blocks(scan):
        flags.see(block)
        series[start : start + block.shape[3]] = _moved(block, scan, grid, fwhm_mm, flags.finite)
    if not flags.finite.all():  # a voxel that breaks late was used before: once more, without it
        for start, block in _blocks(scan):
            series[start : start + block.shape[3]] = _moved(block, scan, grid, fwhm_mm, flags.finite)
    # Interpolation smears signal beyond the field of view; what it makes of ones and zeros shows where.
    present, broken = (
        grid.flatten(_move(nib.Nifti1Image(flag.astype(np.float32), affine), grid, fwhm_mm))
        for flag in (flags.varies & flags.finite, ~flags.finite)
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


def _blocks(scan: OpenScan) -> Iterator[tuple[int, NDArray[Any]]]:
    """Blocks of the stored numbers, each with its first volume."""
    for number, block in enumerate(scan.blocks(_AT_ONCE)):
        yield number * _AT_ONCE, block


def _empty(scan: OpenScan, grid: Grid) -> NDArray[np.float32]:
    return np.empty((scan.image.shape[3], len(grid.voxels)), np.float32)


def _volumes(block: NDArray[Any]) -> NDArray[Any]:
    """One row a volume, (t, X * Y * Z) in Fortran order of the box: as it lies in memory."""
    return block.reshape(-1, block.shape[3], order="F").T


def _scale(stored: NDArray[Any], scan: OpenScan, out: NDArray[np.float32]) -> None:
    # float32 holds 16-bit integers exactly; wider ones are scaled first, so that nothing is lost before.
    exact = stored.dtype.itemsize <= 2 or stored.dtype.kind == "f"
    if exact or (scan.slope, scan.inter) == (1.0, 0.0):
        out[...] = stored
        if (scan.slope, scan.inter) != (1.0, 0.0):
            np.multiply(out, scan.slope, out=out)
            np.add(out, scan.inter, out=out)
    else:
        out[...] = stored * scan.slope + scan.inter


def _moved(
    block: NDArray[Any], scan: OpenScan, grid: Grid, fwhm_mm: float, finite: NDArray[np.bool_]
) -> NDArray[np.float32]:
    scaled = np.empty(block.shape, np.float32, order="F")
    _scale(block, scan, scaled)
    scaled[~finite] = 0.0
    return grid.flatten(_move(nib.Nifti1Image(scaled, scan.image.affine), grid, fwhm_mm)).T


class _Flags:
    """Which voxels of the box varied so far, and which were always finite, both (X, Y, Z)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.varies = np.zeros(shape, dtype=bool, order="F")
        self.finite = np.ones(shape, dtype=bool, order="F")
        self.first: NDArray[Any] | None = None

    def see(self, block: NDArray[Any]) -> None:
        """Take a block of volumes into account."""
        for volume in np.moveaxis(block, -1, 0):
            self.first = volume.copy(order="F") if self.first is None else self.first
            self.varies |= volume != self.first
            if volume.dtype.kind == "f":
                with np.errstate(over="ignore"):  # what float32 cannot hold counts as infinite
                    self.finite &= np.isfinite(volume.astype(np.float32))


def _finite(series: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Columns without NaN or infinity: one such number makes the sum of its column one."""
    suspects = ~np.isfinite(series.sum(axis=0, dtype=np.float64))
    finite = np.ones(series.shape[1], dtype=bool)
    finite[suspects] = np.isfinite(series[:, suspects]).all(axis=0)
    return finite


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
