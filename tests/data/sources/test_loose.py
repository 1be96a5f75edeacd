from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fmrifm.data.sources.loose import as_record, each_scan
from fmrifm.errors import DataError


@pytest.fixture
def image() -> nib.Nifti1Image:
    """Int16 numbers with a scaling, TR 1.25 s."""
    data = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)
    image = nib.Nifti1Image(data, np.diag([2.0, 3.0, 4.0, 1.0]))
    image.header.set_zooms((2, 3, 4, 1.25))
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_slope_inter(0.5, 100)
    return image


def test_paths_and_images_are_listed_in_the_order_given(tmp_path: Path, image: nib.Nifti1Image) -> None:
    assert each_scan("b.nii") == [Path("b.nii")]
    assert each_scan(image) == [image]
    assert each_scan([image, "b.nii", tmp_path / "a.nii"]) == [image, Path("b.nii"), tmp_path / "a.nii"]
    assert each_scan(np.array(["b.nii", "a.nii"])) == [Path("b.nii"), Path("a.nii")]


def test_wildcards_give_their_files_by_name_and_only_where_no_file_has_that_name(tmp_path: Path) -> None:
    for name in ("b.nii", "a.nii", "c.txt", "[x].nii"):
        (tmp_path / name).touch()
    names = [path.name for path in each_scan(f"{tmp_path}/?.nii")]
    assert names == ["a.nii", "b.nii"]
    assert each_scan(tmp_path / "[x].nii") == [tmp_path / "[x].nii"]
    with pytest.raises(DataError, match=r"z\*\.nii: no file matches"):
        each_scan(f"{tmp_path}/z*.nii")


@pytest.mark.parametrize(
    ("given", "said"), [(3, "int: no scan"), ([3], "int in the list"), ([["a.nii"]], "list in the")]
)
def test_what_is_no_scan_is_named_by_its_type(given: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        each_scan(given)


def test_an_image_in_memory_is_a_file_for_a_while_and_keeps_numbers_place_and_repetition_time(
    image: nib.Nifti1Image,
) -> None:
    with as_record(image) as record:
        there = record.path
        read = nib.load(there)
        np.testing.assert_array_equal(read.get_fdata(), image.get_fdata())
        np.testing.assert_array_equal(read.affine, image.affine)
        assert read.header.get_zooms() == image.header.get_zooms()
        assert read.header.get_xyzt_units() == ("mm", "sec")
    assert not there.exists()


def test_a_run_of_fmriprep_brings_the_mask_and_the_confounds_that_lie_beside_it(tmp_path: Path) -> None:
    run = tmp_path / "sub-07_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz"
    mask = tmp_path / "sub-07_task-rest_space-MNI152NLin6Asym_desc-brain_mask.nii.gz"
    confounds = tmp_path / "sub-07_task-rest_desc-confounds_timeseries.tsv"
    for file in (run, mask):
        file.touch()
    confounds.write_text("framewise_displacement\nn/a\n0.5\n")
    with as_record(run) as record:
        assert (record.path, record.brain_mask, record.confounds) == (run, mask, confounds)


@pytest.mark.parametrize("space", ["", "_space-T1w"])
def test_a_run_of_fmriprep_outside_mni_space_is_refused(space: str, tmp_path: Path) -> None:
    path = tmp_path / f"sub-07_task-rest{space}_desc-preproc_bold.nii.gz"
    with pytest.raises(DataError, match="not in MNI space"), as_record(path):
        pass
