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


def test_a_sound_run_is_read_as_it_is(bold_path: Path) -> None:
    scan = open_scan(bold_path)
    assert scan.tr_s == 1.5
    assert np.allclose(scan.read(), 100 + np.random.default_rng(0).normal(size=(5, 6, 7, 20)), atol=1e-4)


def test_integers_are_scaled_as_the_header_says(bold_path: Path, tmp_path: Path) -> None:
    data = open_scan(bold_path).read()
    image = nib.Nifti1Image(data, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header.set_zooms((2.0, 2.0, 2.0, 1.5))
    image.set_data_dtype(np.int16)
    image.to_filename(tmp_path / "integers.nii")
    assert np.allclose(open_scan(tmp_path / "integers.nii").read(), data, atol=1e-3)


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
    with pytest.raises(DataError, match=r"repetition time is (0|40|nan) s, expected 0\.05 to 30 s"):
        open_scan(bold_path, tr_s=tr_s)


def test_a_single_volume_is_refused(tmp_path: Path) -> None:
    nib.Nifti1Image(np.zeros((5, 6, 7), np.float32), np.eye(4)).to_filename(path := tmp_path / "anat.nii")
    with pytest.raises(DataError, match=r"shape \(5, 6, 7\), expected 4 axes"):
        open_scan(path)


def test_a_run_of_unknown_position_is_refused(bold_path: Path) -> None:
    path = change(bold_path, lambda image: image.set_sform(None, 0), lambda image: image.set_qform(None, 0))
    with pytest.raises(DataError, match="neither qform nor sform is set"):
        open_scan(path)


def test_too_few_volumes_are_refused(bold_path: Path) -> None:
    assert open_scan(bold_path, min_volumes=20).image.shape[3] == 20
    with pytest.raises(DataError, match="20 volumes, expected at least 21"):
        open_scan(bold_path, min_volumes=21)


def test_coarse_voxels_are_refused(bold_path: Path) -> None:
    assert open_scan(bold_path, max_voxel_mm=2).tr_s == 1.5
    with pytest.raises(DataError, match=r"voxels of 2 x 2 x 2 mm, expected at most 1\.5 mm"):
        open_scan(bold_path, max_voxel_mm=1.5)


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


@pytest.mark.parametrize("name", ["cut.nii", "cut.nii.gz"])
def test_a_file_that_ends_early_says_how_many_volumes_are_there(bold_path: Path, name: str) -> None:
    whole = bold_path.with_name(f"whole{''.join(Path(name).suffixes)}")
    nib.load(bold_path).to_filename(whole)
    (cut := bold_path.with_name(name)).write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    scan = open_scan(cut)
    with pytest.raises(DataError, match=r"breaks off or is damaged after (8|9|10) of 20 volumes"):
        scan.read()


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
            open_scan(test_data / "bold_native" / name, min_volumes=20, max_voxel_mm=8).read()
