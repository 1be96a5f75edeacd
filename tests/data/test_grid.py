import nibabel as nib
import numpy as np
import pytest

from fmrifm.data.grid import Grid, mni_grid


def test_the_default_grid_is_the_one_of_the_athena_pipeline() -> None:
    grid = mni_grid()
    assert grid.shape == (49, 58, 47)
    assert grid.spacing_mm == (4.0, 4.0, 4.0)
    assert grid.affine[:3, 3].tolist() == [-98.0, -134.0, -72.0]


@pytest.mark.parametrize("spacing_mm", [3.0, 6.0])
def test_the_brain_mask_has_the_same_volume_at_any_spacing(spacing_mm: float) -> None:
    litres = [mni_grid(edge).mask.sum() * edge**3 / 1e6 for edge in (spacing_mm, 4.0)]
    assert litres[0] == pytest.approx(litres[1], rel=0.02)
    assert litres[1] == pytest.approx(1.88, abs=0.05)  # the 2 mm mask of nilearn: 235,375 voxels


def test_the_mask_is_the_head_of_an_adult_looking_along_y() -> None:
    low, high = mni_grid().coordinates_mm.min(axis=0), mni_grid().coordinates_mm.max(axis=0)
    assert low.tolist() == pytest.approx([-72, -106, -72], abs=4)
    assert high.tolist() == pytest.approx([72, 72, 84], abs=4)


def test_flatten_undoes_image(grid: Grid) -> None:
    values_VT = np.random.default_rng(0).normal(size=(len(grid.voxels), 3))
    box = np.asarray(grid.image(values_VT, fill=-1.0).dataobj)
    assert box.shape == (5, 6, 7, 3)
    assert (grid.flatten(box) == values_VT).all()
    assert (box[~grid.mask] == -1.0).all()


def test_voxels_are_in_c_order_of_the_box(grid: Grid) -> None:
    index = np.arange(5 * 6 * 7).reshape(5, 6, 7)
    assert (np.diff(grid.flatten(index)) > 0).all()
    assert (index[tuple(grid.voxels.T)] == grid.flatten(index)).all()


def test_coordinates_follow_the_affine(grid: Grid) -> None:
    assert grid.voxels[0].tolist() == [1, 0, 2]
    assert grid.coordinates_mm[0].tolist() == [-2.0, 10.0, -2.0]


@pytest.mark.parametrize(("shift_mm", "held"), [(0.001, True), (0.1, False)])
def test_a_grid_holds_an_image_that_lies_on_it(grid: Grid, shift_mm: float, held: bool) -> None:
    affine = grid.affine.copy()
    affine[2, 3] += shift_mm
    assert grid.holds(nib.Nifti1Image(np.zeros((5, 6, 7, 4), np.float32), affine)) is held


def test_a_grid_does_not_hold_a_flipped_or_larger_image(grid: Grid) -> None:
    flipped = grid.affine @ np.diag([-1.0, 1.0, 1.0, 1.0])
    assert not grid.holds(nib.Nifti1Image(np.zeros((5, 6, 7), np.float32), flipped))
    assert not grid.holds(nib.Nifti1Image(np.zeros((5, 6, 8), np.float32), grid.affine))
