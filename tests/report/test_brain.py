import nibabel as nib
import numpy as np
import pytest
from matplotlib import pyplot as plt

from fmrifm.errors import DataError
from fmrifm.report.brain import importance_map, reconstruction


@pytest.fixture
def arrays(make_run):
    with np.load(make_run("pretrain").path / "reconstruction.npz") as stored:
        return dict(stored)


def drawn(tmp_path, arrays):
    np.savez(tmp_path / "volume.npz", **arrays)
    return reconstruction(tmp_path / "volume.npz")


def test_the_fit_counts_hidden_voxels_alone(tmp_path, arrays):
    # The prediction is half the truth: r = 1 and R² = 1 - 0.5² = 0.75; what was visible would lift it.
    caption = drawn(tmp_path, arrays).caption
    assert "r = 1.00, R² = 0.75" in caption
    share = arrays["hidden"].sum() / (arrays["original"] != 0).sum()
    assert f"the {share:.0%} hidden" in caption


def test_units_and_slice_positions_stand_in_the_drawing(tmp_path, arrays):
    svg = drawn(tmp_path, arrays).svg
    assert "standard deviations" in svg
    assert svg.count(" mm</text>") == 3
    assert svg.count("<image") >= 18


def test_a_prediction_of_nothing_has_no_fit(tmp_path, arrays):
    assert "R²" not in drawn(tmp_path, {**arrays, "hidden": np.zeros_like(arrays["hidden"])}).caption


def test_missing_arrays_and_empty_volumes_are_refused(tmp_path, arrays):
    with pytest.raises(DataError, match=r"expected also \['hidden'\]"):
        drawn(tmp_path, {name: array for name, array in arrays.items() if name != "hidden"})
    with pytest.raises(DataError, match="0 everywhere"):
        drawn(tmp_path, {**arrays, "original": np.zeros_like(arrays["original"])})


def test_the_map_has_positions_sides_and_a_labelled_scale(make_run):
    svg = importance_map(make_run("attribute").path / "importance.nii.gz", "importance by occlusion", "").svg
    assert svg.count(" mm</text>") == 12
    assert svg.count(">L</text>") == 8
    assert ">importance by occlusion</text>" in svg


@pytest.mark.filterwarnings("ignore:empty mask")
def test_an_empty_map_is_drawn_and_leaves_no_figure_behind(tmp_path):
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    affine[:3, 3] = (-98, -134, -72)
    image = nib.Nifti1Image(np.zeros((20, 24, 19), np.float32), affine)
    image.to_filename(tmp_path / "zero.nii.gz")
    importance_map(tmp_path / "zero.nii.gz", "importance", "")
    assert plt.get_fignums() == []
