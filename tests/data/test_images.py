import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fmrifm.data.images import OpenScan, open_scan
from fmrifm.errors import DataError


def whole(scan: OpenScan) -> np.ndarray:
    """All stored numbers, read in blocks that do not divide the run."""
    return np.concatenate(list(scan.blocks(7)), axis=-1)


def test_a_sound_run_is_read_as_it_is(bold_path: Path) -> None:
    scan = open_scan(bold_path)
    assert scan.tr_s == 1.5
    assert np.allclose(whole(scan), 100 + np.random.default_rng(0).normal(size=(5, 6, 7, 20)), atol=1e-4)


def test_integers_come_with_the_scaling_of_the_header(bold_path: Path, tmp_path: Path) -> None:
    data = whole(open_scan(bold_path))
    image = nib.Nifti1Image(data, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header.set_zooms((2.0, 2.0, 2.0, 1.5))
    image.set_data_dtype(np.int16)
    image.to_filename(tmp_path / "integers.nii")
    scan = open_scan(tmp_path / "integers.nii")
    assert whole(scan).dtype == np.int16
    assert np.allclose(scan.slope * whole(scan) + scan.inter, data, atol=1e-3)


def test_a_single_volume_is_refused(tmp_path: Path) -> None:
    nib.Nifti1Image(np.zeros((5, 6, 7), np.float32), np.eye(4)).to_filename(path := tmp_path / "anat.nii")
    with pytest.raises(DataError, match=r"shape \(5, 6, 7\), expected 4 axes"):
        open_scan(path)


def test_too_few_volumes_are_refused(bold_path: Path) -> None:
    assert open_scan(bold_path, min_volumes=20).image.shape[3] == 20
    with pytest.raises(DataError, match="20 volumes, expected at least 21"):
        open_scan(bold_path, min_volumes=21)


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    for name in ("text.nii", "text.nii.gz"):
        (tmp_path / name).write_text("this is not an image, although its name says so\n" * 20)
        with pytest.raises(DataError, match=f"{name}: cannot be read as NIfTI"):
            open_scan(tmp_path / name)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    for name in ("empty.nii", "empty.nii.gz"):
        (tmp_path / name).touch()
        with pytest.raises(DataError, match=f"{name}: cannot be read as NIfTI"):
            open_scan(tmp_path / name)


def test_another_format_is_refused(tmp_path: Path) -> None:
    nib.MGHImage(np.zeros((5, 6, 7, 8), np.float32), np.eye(4)).to_filename(path := tmp_path / "run.mgz")
    with pytest.raises(DataError, match="a MGHImage, expected NIfTI"):
        open_scan(path)


def test_a_flipped_bit_in_a_gzip_stream_is_found_by_its_checksum(bold_path: Path) -> None:
    content = bytearray(bold_path.read_bytes())
    found = 0
    for place in range(len(content) // 2, len(content) // 2 + 40):
        content[place] ^= 1
        bold_path.write_bytes(content)
        content[place] ^= 1
        with pytest.raises(DataError, match=r"breaks off or is damaged after \d+ of 20 volumes"):
            whole(open_scan(bold_path))
        found += 1
    assert found == 40


@pytest.mark.parametrize("name", ["cut.nii", "cut.nii.gz"])
def test_a_file_that_ends_early_says_how_many_volumes_are_there(bold_path: Path, name: str) -> None:
    uncut = bold_path.with_name(f"uncut{''.join(Path(name).suffixes)}")
    nib.load(bold_path).to_filename(uncut)
    (cut := bold_path.with_name(name)).write_bytes(uncut.read_bytes()[: uncut.stat().st_size // 2])
    scan = open_scan(cut)
    with pytest.raises(DataError, match=r"breaks off or is damaged after (8|9|10) of 20 volumes"):
        whole(scan)


def test_a_file_that_has_gone_is_told_before_and_while_it_is_read(bold_path: Path) -> None:
    scan = open_scan(bold_path)
    bold_path.unlink()
    with pytest.raises(DataError, match="the file has gone since it was found"):
        whole(scan)
    with pytest.raises(DataError, match="no such file"):
        open_scan(bold_path)


def test_a_file_that_may_not_be_read_is_told(bold_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bold_path.chmod(0)
    if os.access(bold_path, os.R_OK):  # the superuser may read everything

        def forbidden(path: Path) -> nib.Nifti1Image:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(nib, "load", forbidden)
    with pytest.raises(DataError, match=r"may not be read by you\. Change its permissions"):
        open_scan(bold_path)


def test_real_odd_files_are_refused_each_with_its_own_sentence(test_data: Path) -> None:
    sentences = {
        "fslfeeds_filtered_func_5slices_noform.nii": "neither qform nor sform",
        "haxby_sub1_run1_25mm_121vols.nii.gz": "voxels of 25 x 25 x 25 mm",
        "nibabel_anatomical_3D_bigendian.nii": r"shape \(33, 41, 25\), expected 4 axes",
        "nibabel_cifti2.ptseries.nii": "a CIFTI-2 file",
        "nibabel_example4d_2vols_TR2000sec.nii.gz": "2000 seconds, which looks like milliseconds",
        "pyneal_GE_func_s1925_mcf_TRUNCATED.nii.gz": "after 32 of 60 volumes",
        "pyneal_testSeries_3vols.nii.gz": "3 volumes, expected at least 20",
    }
    for name, sentence in sentences.items():
        with pytest.raises(DataError, match=f"{name}: .*{sentence}"):
            whole(open_scan(test_data / "bold_native" / name, min_volumes=20, max_voxel_mm=8))
