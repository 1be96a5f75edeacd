import numpy as np
import pytest
import torch

from fmrifm.atlas import load_atlas
from fmrifm.config import AtlasConfig, TokensConfig
from fmrifm.data.grid import mni_grid
from fmrifm.masking import MASKERS
from fmrifm.model.draws import take
from fmrifm.model.tokens import tokenizer_for


def test_chosen_tokens_are_described_as_all_of_them_are(tokenizer, signal):
    tokens = tokenizer.split(signal)
    token = torch.tensor([[3, 0], [1, 4], [len(tokenizer.region) + 2, 2]])
    described = tokenizer.describe(take(tokens, token), token)
    torch.testing.assert_close(described, take(tokenizer.project(tokens), token))


def test_a_window_cut_into_tokens_and_put_back_is_the_same_inside_the_pool(tokenizer, signal, labels):
    joined = tokenizer.join(tokenizer.split(signal))
    pool = torch.from_numpy(labels > 0)
    assert torch.equal(joined[..., pool], signal[..., pool])
    assert not joined[..., ~pool].any()


def test_tokens_put_back_and_cut_again_are_the_same(tokenizer, signal):
    tokens = tokenizer.split(signal)
    assert torch.equal(tokenizer.split(tokenizer.join(tokens)), tokens)


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


def test_on_the_mni_grid_every_region_owns_a_token_and_every_token_one_region(brain):
    grid, atlas = brain
    tokenizer = tokenizer_for(grid, atlas, TokensConfig(grow_mm=0))
    assert set(tokenizer.labels) == set(atlas.labels[atlas.labels > 0])
    for voxel, valid, label in zip(tokenizer.voxel, tokenizer.valid, tokenizer.labels, strict=True):
        assert np.unique(atlas.labels[voxel[valid].numpy()]).tolist() == [label]


def test_with_the_real_atlas_the_tokens_are_as_many_as_the_design_counts(test_data):
    grid = mni_grid(4.0)
    config = AtlasConfig(path=str(test_data / "aal3" / "AAL3v1_2mm.nii.gz"))
    atlas = load_atlas(config, grid.image(np.ones(len(grid.voxels), np.uint8)))
    tokenizer = tokenizer_for(grid, atlas, TokensConfig())
    assert tokenizer.regions == 166 - len(atlas.lost)
    assert 1000 < len(tokenizer.labels) < 1300  # fewer than the 1,413 cubic patches that touch brain


@pytest.mark.parametrize("kind", MASKERS)
def test_on_the_mni_grid_every_masker_hides_the_same_share(kind, brain):
    tokenizer = tokenizer_for(*brain, TokensConfig())
    voxels = tokenizer.pool.voxels.repeat(tokenizer.patches)
    mask = MASKERS[kind](tokenizer.pool, 0.75)(64, torch.Generator().manual_seed(0))
    share = (mask * voxels).sum(dim=1) / voxels.sum()
    assert torch.all((share - 0.75).abs() <= 0.005)
