"""Scans given one by one, as nilearn takes them: paths, wildcards, images in memory, and lists of these.

Not a folder's layout, so no word of `--source`: `fmrifm embed` and the estimators read it.
"""

import glob
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
from nilearn.image import check_niimg

from fmrifm.data.scan import ScanRecord
from fmrifm.data.sources.fmriprep import record_of
from fmrifm.errors import DataError

Niimg = str | PathLike[str] | nib.spatialimages.SpatialImage
"""A path, a path with wildcards, or an image in memory."""
Scan = Path | nib.spatialimages.SpatialImage
"""One run: a file, or an image in memory."""


def each_scan(images: Niimg | Iterable[Niimg]) -> list[Scan]:
    """List 4D runs one by one; wildcards give their files in the order of names.

    Args:
        images: One run or several.

    Raises:
        DataError: Wildcards that no file matches, or something that is neither a path nor an image.
    """
    if isinstance(images, str | PathLike | nib.spatialimages.SpatialImage):
        images = [images]
    if not isinstance(images, Iterable):
        raise DataError(f"{type(images).__name__}: no scan. {_EXPECTED}")
    return [scan for image in images for scan in _scans_of(image)]


_EXPECTED = "Expected paths of 4D NIfTI files, paths with wildcards, nibabel images, or a list of these."


def _scans_of(image: Any) -> list[Scan]:
    if isinstance(image, nib.spatialimages.SpatialImage):
        return [image]
    if not isinstance(image, str | PathLike):
        raise DataError(f"{type(image).__name__} in the list of scans. {_EXPECTED}")
    path = Path(fspath(image)).expanduser()
    if path.exists() or not glob.has_magic(str(path)):
        return [path]  # that it may be missing is said where it is read
    found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  Path.glob takes no absolute pattern
    if not found:
        raise DataError(f"{path}: no file matches. Check the folder and the wildcards.")
    return [Path(name) for name in found]


@contextmanager
def as_record(scan: Scan) -> Iterator[ScanRecord]:
    """Give a run as `prepare` knows one; an image in memory is written to a temporary file for that time."""
    if isinstance(scan, Path):
        yield _of_file(scan)
        return
    image = check_niimg(scan)
    with TemporaryDirectory(prefix="fmrifm-") as folder:
        path = Path(folder) / "image.nii"
        nib.save(nib.Nifti1Image(image.dataobj, image.affine, image.header), path)
        yield ScanRecord(path=path, subject="image")


def _of_file(path: Path) -> ScanRecord:
    if "_desc-preproc_bold.nii" in path.name and path.name.startswith("sub-"):
        if "_space-MNI" not in path.name:
            raise DataError(f"{path}: a run of fMRIPrep that is not in MNI space. Give its version with space-MNI.")
        return record_of(path)
    return ScanRecord(path=path, subject=path.name.split(".")[0])
