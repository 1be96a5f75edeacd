"""What a NIfTI header says, and whether it can be true: position, size, scaling, repetition time.

What it promises is checked against the file's size before any data is read, so that a damaged or
malicious header cannot fill the memory.

Axes: X, Y, Z voxels of the scan's own box; T volumes.
"""

from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np

from fmrifm.errors import DataError

_TR_RANGE_S = (0.05, 30.0)
"""Shortest and longest repetition time that a BOLD protocol uses, with room on both sides."""
_TR_TOLERANCE = 0.01
"""Share by which header and sidecar may differ; NIfTI keeps the repetition time as float32."""
_UNIT_S = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}
_DEFLATE = 1032
"""Most bytes that a byte of a gzip stream can become (zlib's technical details: 1032:1)."""
_LONGEST_HEADER = 1 << 24
"""Bytes before the data, header extensions included, beyond which a header is damaged."""
_GIB = 1 << 30
_KINDS = {
    348: nib.Nifti1Header,
    0x5C010000: nib.Nifti1Header,  # the same, big-endian
    540: nib.Nifti2Header,
    0x1C020000: nib.Nifti2Header,
}
"""Kind of header by its first number, its own length in bytes, read as little-endian."""


def repetition_time(image: nib.Nifti1Image) -> float:
    """The header's repetition time in seconds; a header without a time unit is taken to mean seconds."""
    try:
        unit = image.header.get_xyzt_units()[1]
    except KeyError:  # a code that NIfTI does not know
        unit = "unknown"
    return float(image.header.get_zooms()[3]) * _UNIT_S.get(unit, 1.0)


def check_offset(path: Path) -> None:
    """Refuse a header that says data begins absurdly late: nibabel would read all that lies before as extensions.

    Raises:
        DataError: It says so.
    """
    with nib.openers.ImageOpener(str(path)) as file:
        block = file.read(540)
    kind = _KINDS.get(int.from_bytes(block[:4], "little"))
    if kind is None or len(block) < kind.sizeof_hdr:
        return  # not NIfTI, which nibabel tells best
    offset = float(kind(block[: kind.sizeof_hdr], check=False)["vox_offset"])
    if not 0 <= offset <= _LONGEST_HEADER:
        raise DataError(f"{path}: its header says that data begins at byte {offset:g}; it is damaged. Copy it again.")


def check_numbers(path: Path, image: nib.Nifti1Image) -> None:
    """Refuse voxels that are no real numbers, and a scaling that makes none of them.

    Raises:
        DataError: They are.
    """
    kind = image.get_data_dtype()
    if kind.kind not in "iuf":
        raise DataError(f"{path}: voxels of type {kind}, expected integers or real numbers. Convert it.")
    stored = cast("Any", image.dataobj)
    if not np.isfinite([stored.slope, stored.inter]).all() or stored.slope == 0:
        raise DataError(f"{path}: the header's scaling is not finite. Restore scl_slope and scl_inter.")


def check_position(path: Path, image: nib.Nifti1Image, max_voxel_mm: float) -> None:
    """Refuse a run of unknown place in the head, with a damaged affine, or of coarse voxels.

    Raises:
        DataError: It is one.
    """
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


def check_size(path: Path, image: nib.Nifti1Image, max_gib: float) -> None:
    """Compare what the header promises with what the file can hold, and with what may be read.

    Raises:
        DataError: It is empty or too much.
    """
    promised = float(np.prod(image.shape, dtype=float)) * image.get_data_dtype().itemsize
    size = path.stat().st_size
    if promised == 0:
        raise DataError(f"{path}: shape {image.shape}, which holds no voxel. Give the whole run.")
    if path.suffix == ".gz" and promised > _DEFLATE * size:
        raise DataError(
            f"{path}: its header promises {promised / _GIB:.3g} GiB, which a file of {size} bytes "
            "cannot hold; header or file is damaged. Copy or download it again."
        )
    if promised > max_gib * _GIB:
        raise DataError(
            f"{path}: shape {image.shape} needs {promised / _GIB:.3g} GiB, expected at most {max_gib:g}. "
            "Raise --max_gib if the header is right."
        )


def decide_tr(path: Path, image: nib.Nifti1Image, stated_s: float | None, sidecar_s: float | None) -> float:
    """The repetition time in seconds: a table's, else the one that header and sidecar agree on.

    Raises:
        DataError: They do not, or it is none that a BOLD protocol uses.
    """
    tr_s = stated_s if stated_s is not None else _agreed(path, repetition_time(image), sidecar_s)
    _check_range(path, tr_s)
    return tr_s


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


def _check_range(path: Path, tr_s: float) -> None:
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
