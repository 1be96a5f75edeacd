import numpy as np
import pytest
import torch

from fmrifm.atlas import load_atlas
from fmrifm.config import AtlasConfig, TokensConfig
from fmrifm.data.grid import mni_grid
from fmrifm.model.draws import take
from fmrifm.model.tokens import Tokenizer, tokenizer_for


def test_chosen_tokens_are_described_as_all_of_them_are(tokenizer, signal):
    tokens = tokenizer.split(signal)
    token = torch.tensor([[3, 0], [1, 4], [len(tokenizer.region) + 2, 2]])
    described = tokenizer.describe(take(tokens, token), token)
    torch.testing.assert_close(described, take(tokenizer.project(tokens), token))


def test_a_window_cut_into_tokens_and_put_back_is_the_same_inside_the_pool(any_tokenizer, signal, labels):
    joined = any_tokenizer.join(any_tokenizer.split(signal))
    pool = torch.from_numpy(labels > 0)
    assert torch.equal(joined[..., pool], signal[..., pool])
    assert not joined[..., ~pool].any()


def test_tokens_put_back_and_cut_again_are_the_same(any_tokenizer, signal):
    tokens = any_tokenizer.split(signal)
    assert torch.equal(any_tokenizer.split(any_tokenizer.join(tokens)), tokens)


def test_each_voxel_keeps_the_region_of_its_label_in_whatever_token(any_tokenizer, labels):
    assert any_tokenizer.values.tolist() == [3, 41, 170, 255]
    assert np.append(any_tokenizer.values, 0)[any_tokenizer.region_of_voxel].tolist() == labels.tolist()


def test_the_pool_counts_the_voxels_of_each_region_in_each_token(any_tokenizer, labels):
    pool = any_tokenizer.pool
    for chunk, (voxel, valid) in enumerate(zip(any_tokenizer.voxel, any_tokenizer.valid, strict=True)):
        inside = labels[voxel[valid].numpy()]
        assert pool.counts[:, chunk].tolist() == [(inside == value).sum() for value in any_tokenizer.values]
    assert torch.equal(pool.voxels, any_tokenizer.valid.sum(dim=1))


def test_regions_are_grouped_by_system_and_alone_without_one(tokenizer, chunks, labels):
    systems = {3: "b", 41: "a", 170: "b", 255: "c", 9: "not on this grid"}
    grouped = Tokenizer(chunks, window=6, patch=3, voxels=len(labels), systems=systems)
    assert grouped.pool.system.tolist() == [1, 0, 1, 2]
    assert tokenizer.pool.system.tolist() == [0, 1, 2, 3]


def test_a_token_holds_its_chunk_at_its_volumes(tokenizer, chunks, signal):
    tokens = tokenizer.split(signal)
    late = len(chunks.label) + 2  # third chunk, second time patch
    expected = signal[1, 3:6, chunks.voxel[2]].T * torch.from_numpy(chunks.valid[2])[:, None]
    assert torch.equal(tokens[1, late], expected)


def test_projecting_and_expanding_keeps_what_is_quadratic(tokenizer, places_mm):
    bowl = torch.from_numpy((places_mm**2).sum(axis=1) / 100).float().expand(1, 6, -1)
    tokens = tokenizer.split(bowl)
    everything = torch.arange(tokens.shape[1])[None]
    expanded = tokenizer.expand(tokenizer.project(tokens), everything)
    torch.testing.assert_close(expanded, tokens, atol=1e-3, rtol=1e-3)


def test_places_are_in_millimetres_and_seconds(tokenizer, chunks):
    places = tokenizer.places(torch.tensor([2.0, 0.5]))
    np.testing.assert_allclose(places[0, : len(chunks.label), :3], chunks.centre_mm)
    assert places[0, 0, 3] == 3.0  # the middle of volumes 0 to 2 at 2 s
    assert places[1, -1, 3] == 2.25


@pytest.fixture(scope="module")
def brain():
    """The 4 mm brain with the AAL3 approximation."""
    grid = mni_grid(4.0)
    return grid, load_atlas(AtlasConfig(approximation=True), grid.image(np.ones(len(grid.voxels), np.uint8)))


@pytest.fixture
def real_brain(test_data):
    """The 4 mm brain with AAL3."""
    grid = mni_grid(4.0)
    config = AtlasConfig(path=str(test_data / "aal3" / "AAL3v1_2mm.nii.gz"))
    return grid, load_atlas(config, grid.image(np.ones(len(grid.voxels), np.uint8)))


def test_on_the_mni_grid_every_region_owns_a_token_and_every_token_one_region(brain):
    grid, atlas = brain
    tokenizer = tokenizer_for(grid, atlas, TokensConfig(grow_mm=0))
    assert set(tokenizer.values[tokenizer.region]) == set(atlas.labels[atlas.labels > 0])
    assert ((tokenizer.counts > 0).sum(dim=0) == 1).all()
    assert np.append(tokenizer.values, 0)[tokenizer.region_of_voxel].tolist() == atlas.labels.tolist()


def test_cubic_patches_tile_the_same_voxels_and_are_cubes_of_the_box(brain):
    grid, atlas = brain
    of_kind = {kind: tokenizer_for(grid, atlas, TokensConfig(kind=kind)) for kind in ("regions", "grid")}
    assert torch.equal(of_kind["regions"].region_of_voxel, of_kind["grid"].region_of_voxel)
    assert torch.equal(of_kind["regions"].system, of_kind["grid"].system)
    tokenizer = of_kind["grid"]
    cube = grid.voxels[tokenizer.voxel] // 3
    assert (cube == cube[:, :1])[tokenizer.valid].all()
    assert len(np.unique(cube[:, 0], axis=0)) == len(cube)


def test_with_the_real_atlas_the_tokens_are_as_many_as_the_design_counts(real_brain):
    grid, atlas = real_brain
    tokenizer = tokenizer_for(grid, atlas, TokensConfig())
    assert tokenizer.regions == 166 - len(atlas.lost)
    assert 1000 < len(tokenizer.voxel) < 1300  # fewer than the 1,413 cubic patches that touch brain


def test_with_the_real_atlas_many_regions_never_win_a_cubic_patch(real_brain):
    pool = tokenizer_for(*real_brain, TokensConfig(kind="grid")).pool
    assert pool.counts.shape == (166, 1383)
    assert len(pool.region.unique()) == 139
    pure = (pool.counts > 0).sum(dim=0) == 1
    assert len(pool.region[pure].unique()) == 73
    assert pool.voxels[pure].sum() / pool.voxels.sum() == pytest.approx(0.151, abs=5e-4)
