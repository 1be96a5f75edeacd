"""Open a NIfTI run and read it in blocks; what cannot be read is refused, each fault with its own sentence.

Axes: X, Y, Z voxels of the scan's own box; T volumes.
"""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from fmrifm.data.headers import check_numbers, check_offset, check_position, check_size, decide_tr
from fmrifm.errors import DataError

_BLOCK = 1 << 10
"""Bytes read at a time of a broken file; the last, incomplete block is lost to the count."""
_BEYOND = 1 << 20
"""Bytes read after the data, to come to the end of a gzip stream; what trails further is of no interest."""


@dataclass(frozen=True, eq=False)
class OpenScan:
    """A run whose header is sound; its data is still on disk."""

    path: Path
    """Where it lies."""
    image: nib.Nifti1Image
    """The file's image, shape (X, Y, Z, T)."""
    tr_s: float
    """Repetition time in seconds."""

    def blocks(self, volumes: int) -> Iterator[NDArray[Any]]:
        """Read the stored numbers, some volumes at a time, each block of shape (X, Y, Z, volumes) in Fortran order.

        `slope * stored + inter` is the signal in the file's own unit. The end of a gzip stream is read too, so that
        its checksum is compared.

        Raises:
            DataError: The file ends early, its stream is damaged, or it has gone.
        """
        try:
            yield from self._read(volumes)
        except FileNotFoundError:
            raise DataError(f"{self.path}: the file has gone since it was found. Bring it back.") from None
        except (EOFError, OSError, zlib.error) as error:
            held, total = _volumes_held(self.path, self.image), self.image.shape[3]
            raise DataError(
                f"{self.path}: the file breaks off or is damaged after {held} of {total} volumes ({error}). "
                "Copy or download it again."
            ) from None

    def _read(self, volumes: int) -> Iterator[NDArray[Any]]:
        *box, total = self.image.shape
        volume_bytes = int(np.prod(box)) * self._stored.dtype.itemsize
        with nib.openers.ImageOpener(str(self.path)) as file:
            file.seek(self._stored.offset)
            for start in range(0, total, volumes):
                count = min(volumes, total - start)
                if len(content := file.read(count * volume_bytes)) < count * volume_bytes:
                    raise EOFError("the data ends early")
                yield np.frombuffer(content, self._stored.dtype).reshape(*box, count, order="F")
            file.read(_BEYOND)

    @property
    def slope(self) -> float:
        """Factor of the stored numbers."""
        return float(self._stored.slope)

    @property
    def inter(self) -> float:
        """What is added to them."""
        return float(self._stored.inter)

    @property
    def _stored(self) -> Any:
        """Proxy of the data on disk."""
        return self.image.dataobj


def open_scan(
    path: Path,
    tr_s: float | None = None,
    *,
    sidecar_tr_s: float | None = None,
    min_volumes: int = 2,
    max_voxel_mm: float = np.inf,
    max_gib: float = np.inf,
) -> OpenScan:
    """Open one run and check its header.

    Args:
        path: NIfTI file.
        tr_s: Repetition time in seconds from a table; it goes before the header's.
        sidecar_tr_s: Repetition time in seconds from a sidecar; it must agree with the header's, or explain it.
        min_volumes: Shortest run to take.
        max_voxel_mm: Longest voxel edge to take.
        max_gib: Most GiB that the run may need in memory.

    Raises:
        DataError: One sentence for the first fault found.
    """
    image = open_image(path)
    if len(image.shape) != 4:
        raise DataError(
            f"{path}: shape {image.shape}, expected 4 axes (x, y, z, time). Give the whole run, not a volume."
        )
    check_numbers(path, image)
    check_position(path, image, max_voxel_mm)
    tr_s = decide_tr(path, image, tr_s, sidecar_tr_s)
    if image.shape[3] < min_volumes:
        raise DataError(
            f"{path}: {image.shape[3]} volumes, expected at least {min_volumes}. "
            "Give the whole run, or lower --min_volumes."
        )
    check_size(path, image, max_gib)
    return OpenScan(path, image, tr_s)


def open_image(path: Path) -> nib.Nifti1Image:
    """Open a NIfTI-1 or NIfTI-2 file without reading its data.

    Raises:
        DataError: It is something else.
    """
    try:
        check_offset(path)
        image = nib.load(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. It was moved or removed; bring it back.") from None
    except PermissionError:
        raise DataError(f"{path}: may not be read by you. Change its permissions (chmod u+r).") from None
    except DataError:
        raise
    except Exception as error:  # on a damaged header nibabel and NumPy raise almost anything
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
