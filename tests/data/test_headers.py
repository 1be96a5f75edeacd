import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fmrifm.data.images import open_scan
from fmrifm.errors import DataError

Change = Callable[[nib.Nifti1Image], object]


def change(path: Path, *changes: Change) -> Path:
    """Alter the header of a run on disk."""
    image = nib.load(path)
    for alter in changes:
        alter(image)
    image.to_filename(changed := path.with_name("changed.nii.gz"))
    return changed


@pytest.mark.parametrize(("unit", "zoom"), [("sec", 2.0), ("msec", 2000.0), ("usec", 2e6), ("unknown", 2.0)])
def test_the_repetition_time_is_in_seconds_whatever_the_unit(bold_path: Path, unit: str, zoom: float) -> None:
    def relabel(image: nib.Nifti1Image) -> None:
        image.header.set_xyzt_units("mm", unit)
        image.header.set_zooms((2, 2, 2, zoom))

    assert open_scan(change(bold_path, relabel)).tr_s == pytest.approx(2.0)


def test_a_stated_repetition_time_goes_before_the_header(bold_path: Path) -> None:
    assert open_scan(bold_path, tr_s=0.8).tr_s == 0.8


def test_milliseconds_labelled_as_seconds_are_refused_with_a_way_out(bold_path: Path) -> None:
    path = change(bold_path, lambda image: image.header.set_zooms((2, 2, 2, 2000)))
    with pytest.raises(DataError, match=r"2000 seconds, which looks like milliseconds .* with tr_s 2\."):
        open_scan(path)
    assert open_scan(path, tr_s=2.0).tr_s == 2.0


@pytest.mark.parametrize("tr_s", [0.0, 40.0, float("nan")])
def test_an_implausible_repetition_time_is_refused(bold_path: Path, tr_s: float) -> None:
    with pytest.raises(DataError, match=r"time is (unknown \(0 in the header\)|40 s|nan s), expected 0\.05 to 30 s"):
        open_scan(bold_path, tr_s=tr_s)


def test_a_run_of_unknown_position_is_refused(bold_path: Path) -> None:
    path = change(bold_path, lambda image: image.set_sform(None, 0), lambda image: image.set_qform(None, 0))
    with pytest.raises(DataError, match="neither qform nor sform is set"):
        open_scan(path)


def test_coarse_voxels_are_refused(bold_path: Path) -> None:
    assert open_scan(bold_path, max_voxel_mm=2).tr_s == 1.5
    with pytest.raises(DataError, match=r"voxels of 2 x 2 x 2 mm, expected at most 1\.5 mm"):
        open_scan(bold_path, max_voxel_mm=1.5)


@pytest.mark.parametrize(("header", "sidecar"), [(2.0, 2.01), (0.0, 2.01), (2010.0, 2.01)])
def test_a_sidecar_agrees_with_the_header_or_explains_it(bold_path: Path, header: float, sidecar: float) -> None:
    path = change(bold_path, lambda image: image.header.set_zooms((2, 2, 2, header)))
    assert open_scan(path, sidecar_tr_s=sidecar).tr_s == 2.01


def test_a_sidecar_that_contradicts_the_header_is_refused_unless_a_table_decides(bold_path: Path) -> None:
    with pytest.raises(DataError, match=r"is 1\.5 s in the header and 2 s in the sidecar\. Correct one of them"):
        open_scan(bold_path, sidecar_tr_s=2.0)
    assert open_scan(bold_path, 2.0, sidecar_tr_s=1.5).tr_s == 2.0


def rewrite(path: Path, **fields: object) -> Path:
    """Put values into the header on disk that nibabel would not write."""
    header = nib.Nifti1Header(path.read_bytes()[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    (changed := path.with_name("rewritten.nii")).write_bytes(header.binaryblock + path.read_bytes()[348:])
    return changed


@pytest.fixture
def plain_path(bold_path: Path) -> Path:
    nib.load(bold_path).to_filename(path := bold_path.with_name("plain.nii"))
    return path


def test_a_bomb_is_refused_before_it_is_read(plain_path: Path) -> None:
    path = rewrite(plain_path, dim=[4, 3000, 3000, 3000, 3000, 1, 1, 1])
    zipped = path.with_name("bomb.nii.gz")
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DataError, match=r"promises 3\.02e\+05 GiB, which a file of \d+ bytes cannot hold"):
        open_scan(zipped)
    with pytest.raises(DataError, match=r"needs 3\.02e\+05 GiB, expected at most 8\. Raise --max_gib"):
        open_scan(path, max_gib=8)


def test_a_stream_of_zeros_within_zlibs_limits_is_refused_by_the_memory_it_needs(tmp_path: Path) -> None:
    zeros = np.broadcast_to(np.uint8(0), (64, 64, 64, 30))
    image = nib.Nifti1Image(zeros, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header.set_zooms((2, 2, 2, 2))
    image.to_filename(path := tmp_path / "zeros.nii.gz")
    assert max(block.max() for block in open_scan(path).blocks(7)) == 0
    with pytest.raises(DataError, match=r"needs 0\.00732 GiB, expected at most 0\.001"):
        open_scan(path, max_gib=0.001)


@pytest.mark.parametrize("offset", [-1.0, 1e30, float("nan")])
def test_data_that_begins_nowhere_is_refused(plain_path: Path, offset: float) -> None:
    with pytest.raises(DataError, match="header says that data begins at byte"):
        open_scan(rewrite(plain_path, vox_offset=offset))


def test_damaged_numbers_of_a_header_are_refused(plain_path: Path) -> None:
    with pytest.raises(DataError, match="voxels of type complex64"):
        open_scan(rewrite(plain_path, datatype=32, bitpix=64))
    with pytest.raises(DataError, match="affine is damaged"):
        open_scan(rewrite(plain_path, srow_x=[np.nan, 0, 0, 0]))
    with pytest.raises(DataError, match="affine is damaged"):
        open_scan(rewrite(plain_path, srow_x=[0, 2, 0, 0], srow_y=[0, 2, 0, 0]))
