"""Open a NIfTI run and refuse what cannot become a signal, each fault with its own sentence.

What a header promises is checked against the file's size before any data is read, so that a damaged
or malicious header cannot fill the memory.

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

from fmrifm.errors import DataError

_TR_RANGE_S = (0.05, 30.0)
"""Shortest and longest repetition time that a BOLD protocol uses, with room on both sides."""
_TR_TOLERANCE = 0.01
"""Share by which header and sidecar may differ; NIfTI keeps the repetition time as float32."""
_BLOCK = 1 << 10
"""Bytes read at a time of a broken file; the last, incomplete block is lost to the count."""
_UNIT_S = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}
_DEFLATE = 1032
"""Most bytes that a byte of a gzip stream can become (zlib's technical details: 1032:1)."""
_LONGEST_HEADER = 1 << 24
"""Bytes before the data, header extensions included, beyond which a header is damaged."""
_BEYOND = 1 << 20
"""Bytes read after the data, to come to the end of a gzip stream; what trails further is of no interest."""
_GIB = 1 << 30


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
    _check_numbers(path, image)
    _check_position(path, image, max_voxel_mm)
    stated = tr_s if tr_s is not None else _agreed(path, repetition_time(image), sidecar_tr_s)
    _check_tr(path, stated)
    if image.shape[3] < min_volumes:
        raise DataError(
            f"{path}: {image.shape[3]} volumes, expected at least {min_volumes}. "
            "Give the whole run, or lower --min_volumes."
        )
    _check_size(path, image, max_gib)
    return OpenScan(path, image, stated)


def open_image(path: Path) -> nib.Nifti1Image:
    """Open a NIfTI-1 or NIfTI-2 file without reading its data.

    Raises:
        DataError: It is something else.
    """
    try:
        _check_header_length(path)
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


def repetition_time(image: nib.Nifti1Image) -> float:
    """The header's repetition time in seconds; a header without a time unit is taken to mean seconds."""
    try:
        unit = image.header.get_xyzt_units()[1]
    except KeyError:  # a code that NIfTI does not know
        unit = "unknown"
    return float(image.header.get_zooms()[3]) * _UNIT_S.get(unit, 1.0)


def _check_header_length(path: Path) -> None:
    """Refuse a header that says data begins absurdly late: nibabel would read all that lies before as extensions."""
    with nib.openers.ImageOpener(str(path)) as file:
        block = file.read(540)
    kind = nib.Nifti2Header if int.from_bytes(block[:4], "little") in (540, 0x1C020000) else nib.Nifti1Header
    if len(block) < kind.sizeof_hdr or int.from_bytes(block[:4], "little") not in (348, 540, 0x5C010000, 0x1C020000):
        return  # not NIfTI, which nibabel tells best
    offset = float(kind(block[: kind.sizeof_hdr], check=False)["vox_offset"])
    if not 0 <= offset <= _LONGEST_HEADER:
        raise DataError(f"{path}: its header says that data begins at byte {offset:g}; it is damaged. Copy it again.")


def _check_numbers(path: Path, image: nib.Nifti1Image) -> None:
    kind = image.get_data_dtype()
    if kind.kind not in "iuf":
        raise DataError(f"{path}: voxels of type {kind}, expected integers or real numbers. Convert it.")
    stored = cast("Any", image.dataobj)
    if not np.isfinite([stored.slope, stored.inter]).all() or stored.slope == 0:
        raise DataError(f"{path}: the header's scaling is not finite. Restore scl_slope and scl_inter.")


def _check_size(path: Path, image: nib.Nifti1Image, max_gib: float) -> None:
    """Compare what the header promises with what the file can hold, and with the memory that is allowed."""
    promised = float(np.prod(image.shape, dtype=float)) * image.get_data_dtype().itemsize
    zipped = path.suffix == ".gz"
    held = path.stat().st_size * (_DEFLATE if zipped else 1)
    if promised == 0:
        raise DataError(f"{path}: shape {image.shape}, which holds no voxel. Give the whole run.")
    if zipped and promised > held:
        raise DataError(
            f"{path}: its header promises {promised / _GIB:.3g} GiB, which a file of {path.stat().st_size} bytes "
            "cannot hold; header or file is damaged. Copy or download it again."
        )
    # In memory each number becomes a float32 once it is inside the brain.
    if promised > max_gib * _GIB:
        raise DataError(
            f"{path}: shape {image.shape} needs {promised / _GIB:.3g} GiB, expected at most {max_gib:g}. "
            "Raise --max_gib if the header is right."
        )


def _check_position(path: Path, image: nib.Nifti1Image, max_voxel_mm: float) -> None:
    if not image.header["qform_code"] and not image.header["sform_code"]:
        raise DataError(
            f"{path}: neither qform nor sform is set, so where the voxels lie in the head is unknown. "
            "Expected a run in MNI space; normalise it again or restore its header."
        )
    edges = nib.affines.voxel_sizes(image.affine)
    if not (np.isfinite(image.affine).all() and (edges > 0).all() and abs(np.linalg.det(image.affine)) > 0):
        raise DataError(f"{path}: voxel edges {edges} mm; the affine is damaged. Restore its header.")
    if edges.max() > max_voxel_mm:
        raise DataError(
            f"{path}: voxels of {' x '.join(f'{edge:g}' for edge in edges)} mm, expected at most {max_voxel_mm:g} mm "
            "for this grid. Give the run before it was down-sampled, or raise --spacing_mm."
        )


def _agreed(path: Path, header: float, sidecar: float | None) -> float:
    """The repetition time that header and sidecar agree on; a sidecar settles a header without one or in ms."""
    if sidecar is None:
        return header
    explained = header == 0 or not np.isfinite(header) or np.isclose(header, 1000 * sidecar, rtol=_TR_TOLERANCE)
    if explained or np.isclose(header, sidecar, rtol=_TR_TOLERANCE):
        return sidecar
    raise DataError(
        f"{path}: the repetition time is {header:g} s in the header and {sidecar:g} s in the sidecar. "
        "Correct one of them, or list the run in a table (--source table) with its tr_s."
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
    word = "unknown (0 in the header)" if tr_s == 0 else f"{tr_s:g} s"
    raise DataError(
        f"{path}: the repetition time is {word}, expected {low:g} to {high:g} s. "
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
