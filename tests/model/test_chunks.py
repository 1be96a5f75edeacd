import numpy as np
import pytest

from fmrifm.model.chunks import cut_chunks, cut_patches


def test_every_chunk_lies_inside_one_region(chunks, labels):
    for voxel, valid, label in zip(chunks.voxel, chunks.valid, chunks.label, strict=True):
        assert labels[voxel[valid]].tolist() == label[valid].tolist()
        assert len(set(label[valid])) == 1
        assert not label[~valid].any()


def test_chunks_tile_the_pool_without_gap_or_overlap(chunks, labels):
    assert sorted(chunks.voxel[chunks.valid]) == np.flatnonzero(labels).tolist()


def test_every_region_with_a_voxel_owns_a_chunk_even_of_one_voxel(chunks, labels):
    assert set(chunks.label[chunks.valid]) == set(labels[labels > 0])
    assert (chunks.label == 255).sum() == 1


def test_no_chunk_is_larger_than_asked_and_none_is_needlessly_small(chunks, labels):
    sizes = chunks.valid.sum(axis=1)
    assert sizes.max() <= 27
    for label in np.unique(labels[labels > 0]):
        assert (chunks.label[:, 0] == label).sum() == -(-(labels == label).sum() // 27)


def test_a_bar_of_eight_voxels_is_cut_across_its_length():
    places = np.array([[4.0 * i, 0, 0] for i in range(8)])
    chunks = cut_chunks(np.full(8, 9), places, 4)
    assert [sorted(row) for row in chunks.voxel] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    np.testing.assert_allclose(chunks.centre_mm[:, 0], [6.0, 22.0])


def test_the_basis_is_orthonormal_over_each_chunk(chunks):
    for basis, valid in zip(chunks.basis, chunks.valid, strict=True):
        gram = basis.T @ basis / valid.sum()
        present = np.diag(gram) > 0.5
        np.testing.assert_allclose(gram, np.diag(present.astype(float)), atol=1e-4)


def test_the_first_coefficient_is_the_mean_and_a_plane_is_fitted_exactly(chunks, places_mm):
    plane = 2.0 + places_mm @ (0.3, -0.2, 0.1)
    values = np.where(chunks.valid, plane[chunks.voxel], 0.0)
    coefficients = np.einsum("kp,kpm->km", values, chunks.basis) / chunks.valid.sum(axis=1)[:, None]
    mean = values.sum(axis=1) / chunks.valid.sum(axis=1)
    np.testing.assert_allclose(coefficients[:, 0], mean, rtol=1e-4)
    fitted = np.einsum("km,kpm->kp", coefficients, chunks.basis)
    assert fitted == pytest.approx(values, abs=1e-3)


def test_patches_are_the_labelled_voxels_of_cubes(labels, places_mm):
    voxels = np.argwhere(np.ones((7, 9, 5)))
    patches = cut_patches(labels, voxels, places_mm, 3)
    assert sorted(patches.voxel[patches.valid]) == np.flatnonzero(labels).tolist()
    cubes = [
        set(map(tuple, voxels[voxel[valid]] // 3)) for voxel, valid in zip(patches.voxel, patches.valid, strict=True)
    ]
    assert [len(cube) for cube in cubes] == [1] * 18  # 3 x 3 x 2 cubes, each a patch of its own
    assert len(set.union(*cubes)) == 18
    for voxel, valid, label in zip(patches.voxel, patches.valid, patches.label, strict=True):
        assert np.where(valid, labels[voxel], 0).tolist() == label.tolist()


def test_a_cube_without_a_labelled_voxel_is_no_patch():
    places = np.array([[4.0 * i, 0, 0] for i in range(9)])
    patches = cut_patches(np.array([7, 0, 8, 0, 0, 0, 7, 7, 7]), np.arange(9)[:, None] * (1, 0, 0), places, 3)
    assert [row[valid].tolist() for row, valid in zip(patches.label, patches.valid, strict=True)] == [[7, 8], [7, 7, 7]]
    np.testing.assert_allclose(patches.centre_mm[:, 0], [4.0, 28.0])
