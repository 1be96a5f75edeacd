"""Open a NIfTI run and refuse what cannot become a signal, each fault with its own sentence.

Axes: X, Y, Z voxels of the scan's own box; T volumes.
"""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from fmrifm.errors import DataError

_TR_RANGE_S = (0.05, 30.0)
"""Shortest and longest repetition time that a BOLD protocol uses, with room on both sides."""
_BLOCK = 1 << 10
"""Bytes read at a time of a broken file; the last, incomplete block is lost to the count."""
_UNIT_S = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}


@dataclass(frozen=True, eq=False)
class OpenScan:
    """A run whose header is sound; its data is still on disk."""

    path: Path
    """Where it lies."""
    image: nib.Nifti1Image
    """The file's image, shape (X, Y, Z, T)."""
    tr_s: float
    """Repetition time in seconds."""

    def read(self) -> NDArray[np.float32]:
        """Read the data, shape (X, Y, Z, T), in the file's own unit; call it once, nothing is kept.

        Raises:
            DataError: The file ends early or its stream is damaged.
        """
        try:
            return cast("NDArray[np.float32]", self.image.get_fdata(dtype=np.float32, caching="unchanged"))
        except (EOFError, OSError, ValueError, zlib.error) as error:
            held, total = _volumes_held(self.path, self.image), self.image.shape[3]
            raise DataError(
                f"{self.path}: the file breaks off or is damaged after {held} of {total} volumes ({error}). "
                "Copy or download it again."
            ) from None


def open_scan(path: Path, tr_s: float | None = None, *, min_volumes: int = 2, max_voxel_mm: float = np.inf) -> OpenScan:
    """Open one run and check its header.

    Args:
        path: NIfTI file.
        tr_s: Repetition time in seconds from a sidecar or table; it goes before the header's.
        min_volumes: Shortest run to take.
        max_voxel_mm: Longest voxel edge to take.

    Raises:
        DataError: One sentence for the first fault found.
    """
    image = open_image(path)
    if len(image.shape) != 4:
        raise DataError(
            f"{path}: shape {image.shape}, expected 4 axes (x, y, z, time). Give the whole run, not a volume."
        )
    _check_position(path, image, max_voxel_mm)
    tr_s = repetition_time(image) if tr_s is None else tr_s
    _check_tr(path, tr_s)
    if image.shape[3] < min_volumes:
        raise DataError(
            f"{path}: {image.shape[3]} volumes, expected at least {min_volumes}. "
            "Give the whole run, or lower --min_volumes."
        )
    return OpenScan(path, image, tr_s)


def open_image(path: Path) -> nib.Nifti1Image:
    """Open a NIfTI-1 or NIfTI-2 file without reading its data.

    Raises:
        DataError: It is something else.
    """
    try:
        image = nib.load(path)
    except (
        nib.filebasedimages.ImageFileError,
        nib.spatialimages.HeaderDataError,
        OSError,
        EOFError,
        zlib.error,
    ) as error:
        raise DataError(f"{path}: cannot be read as NIfTI ({error}). Give a .nii or .nii.gz file.") from None
    if isinstance(image, nib.Cifti2Image):
        raise DataError(
            f"{path}: a CIFTI-2 file, shape {image.shape}, whose columns are surface points or parcels, not a box of "
            "voxels. Give the volume run (.nii.gz) instead."
        )
    if not isinstance(image, nib.Nifti1Image):
        raise DataError(
            f"{path}: a {type(image).__name__}, expected NIfTI. Convert it, e.g. with nibabel or mri_convert."
        )
    return image


def repetition_time(image: nib.Nifti1Image) -> float:
    """The header's repetition time in seconds; a header without a time unit is taken to mean seconds."""
    unit = image.header.get_xyzt_units()[1]
    return float(image.header.get_zooms()[3]) * _UNIT_S.get(unit, 1.0)


def _check_position(path: Path, image: nib.Nifti1Image, max_voxel_mm: float) -> None:
    if not image.header["qform_code"] and not image.header["sform_code"]:
        raise DataError(
            f"{path}: neither qform nor sform is set, so where the voxels lie in the head is unknown. "
            "Expected a run in MNI space; normalise it again or restore its header."
        )
    edges = nib.affines.voxel_sizes(image.affine)
    if not (edges > 0).all():
        raise DataError(f"{path}: voxel edges {edges} mm; the affine is damaged. Restore its header.")
    if edges.max() > max_voxel_mm:
        raise DataError(
            f"{path}: voxels of {' x '.join(f'{edge:g}' for edge in edges)} mm, expected at most {max_voxel_mm:g} mm "
            "for this grid. Give the run before it was down-sampled, or raise --spacing_mm."
        )


def _check_tr(path: Path, tr_s: float) -> None:
    low, high = _TR_RANGE_S
    if low <= tr_s <= high:
        return
    if low <= tr_s / 1000 <= high:
        raise DataError(
            f"{path}: the repetition time is {tr_s:g} seconds, which looks like milliseconds labelled as seconds. "
            f"Correct the header, or list the run in a table (--source table) with tr_s {tr_s / 1000:g}."
        )
    raise DataError(
        f"{path}: the repetition time is {tr_s:g} s, expected {low:g} to {high:g} s. "
        "Correct the header, or list the run in a table (--source table) with its tr_s."
    )


def _volumes_held(path: Path, image: nib.Nifti1Image) -> int:
    """How many whole volumes a broken file still holds."""
    n_bytes = 0
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        try:
            while block := file.read(_BLOCK):
                n_bytes += len(block)
        except (EOFError, OSError, zlib.error):
            pass
    volume = int(np.prod(image.shape[:3]) * image.get_data_dtype().itemsize)
    return max(0, n_bytes - int(cast("Any", image.dataobj).offset)) // volume
