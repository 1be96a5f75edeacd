from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fmrifm.data.grid import Grid
from fmrifm.data.images import OpenScan, open_scan
from fmrifm.data.resample import brain_mask_on, field_of_view, gather, interpolate


@pytest.fixture
def scan(tmp_path: Path, grid: Grid) -> OpenScan:
    """A run on the grid whose value says where and when: 1000 x + 100 y + 10 z + sin(t), 33 volumes."""
    x, y, z, t = np.ogrid[:5, :6, :7, :33]
    image = nib.Nifti1Image((1000 * x + 100 * y + 10 * z + np.sin(t)).astype(np.float32), grid.affine)
    image.header.set_zooms((2, 2, 2, 2))
    image.to_filename(path := tmp_path / "run.nii")
    return open_scan(path)


def test_gathered_voxels_are_those_of_the_grid_in_its_order(scan: OpenScan, grid: Grid) -> None:
    raw = gather(scan, grid)
    expected = grid.voxels @ [1000, 100, 10]
    assert np.allclose(raw.series, expected + np.sin(np.arange(33))[:, None], atol=1e-3)
    assert raw.present.all()


def test_interpolation_onto_the_same_grid_changes_nothing(scan: OpenScan, grid: Grid) -> None:
    assert np.allclose(interpolate(scan, grid, 0.0).series, gather(scan, grid).series, atol=1e-3)


def test_a_shift_is_interpolated_linearly(scan: OpenScan, grid: Grid) -> None:
    affine = grid.affine.copy()
    affine[1, 3] -= 0.5  # a quarter of a voxel
    moved = Grid(affine=affine, mask=grid.mask & (np.arange(6) > 0)[:, None])
    expected = moved.voxels @ [1000, 100, 10] - 25
    assert np.allclose(interpolate(scan, moved, 0.0).series[0], expected, atol=1e-2)


def test_the_field_of_view_counts_voxels_inside_the_box(scan: OpenScan, grid: Grid) -> None:
    assert field_of_view(scan.image, grid) == 1.0
    affine = scan.image.affine.copy()
    affine[2, 3] += 2 * 4  # planes 4, 5 and 6 of the grid remain, of the mask's 2 to 6
    assert field_of_view(nib.Nifti1Image(np.zeros((5, 6, 7)), affine), grid) == pytest.approx(3 / 5)
    affine[2, 3] += 100
    assert field_of_view(nib.Nifti1Image(np.zeros((5, 6, 7)), affine), grid) == 0.0


def test_a_mask_on_another_grid_is_taken_where_it_holds_half(tmp_path: Path, grid: Grid) -> None:
    affine = grid.affine.copy()
    affine[0, 3] -= 0.8  # 0.4 voxels to the left: voxel x lies 0.4 beyond the mask's x
    inside = np.zeros((6, 6, 7), np.uint8)
    inside[3:] = 1
    nib.Nifti1Image(inside, affine).to_filename(path := tmp_path / "mask.nii")
    assert (brain_mask_on(grid, path) == (grid.voxels[:, 0] >= 3)).all()
