"""The voxel budget, and with which regions a chunk is hidden."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fmrifm.atlas import grow_labels, load_atlas
from fmrifm.config import AtlasConfig, MaskingConfig, TokensConfig
from fmrifm.data.grid import mni_grid
from fmrifm.errors import ConfigError
from fmrifm.masking import Pool, hide_regions, masker_for
from fmrifm.masking.base import fill_budget, uniform
from fmrifm.model.tokens import tokenizer_for


@pytest.fixture
def small() -> Pool:
    """Three regions in four chunks: one of the first region, two that are shared, one where two are equal."""
    counts = torch.tensor([[5, 4, 0, 2], [0, 3, 1, 2], [0, 1, 6, 0]])
    return Pool(counts=counts, system=torch.arange(3), centre_mm=torch.zeros(4, 3), patches=2)


def test_a_chunk_goes_with_most_of_its_voxels_or_any_or_all_of_them(small):
    assert small.voxels.tolist() == [5, 8, 7, 4]
    assert small.hidden_with.tolist() == [[0], [0], [2], [0]]
    assert replace(small, rule="pure").hidden_with.tolist() == [[0], [3], [3], [3]]  # 3: with none
    of_any = replace(small, rule="any").hidden_with.tolist()
    assert [sorted(regions) for regions in of_any] == [[0, 3, 3], [0, 1, 2], [1, 2, 3], [0, 1, 3]]


def test_where_each_chunk_lies_in_one_region_all_rules_agree(pool):
    expected = pool.hidden_with
    for rule in ("any", "pure"):
        assert torch.equal(replace(pool, rule=rule).hidden_with, expected)


def test_units_are_hidden_in_the_order_of_their_keys_while_they_fit():
    unit, voxels = torch.tensor([[0], [1], [1], [2], [3]]), torch.tensor([3, 1, 1, 4, 9])
    keys = torch.tensor([[0.3, 0.1, 0.2, 0.4], [0.4, 0.3, 0.2, 0.1]])
    hidden = fill_budget(keys, unit, voxels, 9 / 18)
    assert hidden.int().tolist() == [[1, 1, 1, 1, 0], [0, 0, 0, 0, 1]]


def test_the_gap_before_a_large_unit_is_closed_by_the_unit_of_the_nearest_size():
    unit, voxels = torch.arange(4)[:, None], torch.tensor([100, 100, 10, 9])
    hidden = fill_budget(uniform(60, 4, torch.Generator().manual_seed(0)), unit, voxels, 110 / 219)
    found = set((hidden * voxels).sum(dim=1).tolist())
    assert found <= {109, 110, 119}  # 119: both small ones came first, then a large one came closest
    assert 110 in found


def test_of_units_that_share_chunks_only_what_is_new_counts():
    # Unit 0 has chunks 0 and 1, unit 1 has 1 and 2, unit 2 has 3; 10 voxels each, 30 to hide.
    unit = torch.tensor([[0, 3], [0, 1], [1, 3], [2, 3]])
    hidden = fill_budget(torch.tensor([[0.1, 0.2, 0.3], [0.1, 0.3, 0.2]]), unit, torch.full((4,), 10), 0.75)
    assert hidden.int().tolist() == [[1, 1, 1, 0], [1, 1, 0, 1]]


def test_nothing_more_is_hidden_than_comes_closer():
    unit = torch.arange(2)[:, None]
    assert not fill_budget(torch.tensor([[0.1, 0.2]]), unit, torch.tensor([10, 12]), 4 / 22).any()
    assert fill_budget(torch.tensor([[0.1, 0.2]]), unit, torch.tensor([10, 12]), 6 / 22).tolist() == [[True, False]]


def test_a_chunk_that_goes_with_no_unit_stays_visible():
    hidden = fill_budget(torch.tensor([[0.5]]), torch.tensor([[0], [1]]), torch.tensor([4, 4]), 0.5)
    assert hidden.tolist() == [[True, False]]


def test_a_share_that_the_rule_cannot_hide_is_refused_with_the_share_it_can(small):
    with pytest.raises(ConfigError, match=r"masking.ratio is 0.5, but by masking.rule pure regions hide at most 20.8%"):
        masker_for(small, MaskingConfig(kind="region", ratio=0.5, rule="pure"))
    masker_for(small, MaskingConfig(kind="region", ratio=0.2, rule="pure"))


def test_chosen_regions_are_hidden_to_the_last_voxel(small):
    assert hide_regions(small, [0]).int().tolist() == [1, 1, 0, 1] * 2
    assert hide_regions(small, [1, 2]).int().tolist() == [0, 1, 1, 1] * 2


@pytest.mark.parametrize("kind", ["regions", "grid"])
def test_with_the_real_atlas_each_region_on_the_grid_can_be_hidden_alone(kind, test_data):
    grid = mni_grid(4.0)
    config = AtlasConfig(path=str(test_data / "aal3" / "AAL3v1_2mm.nii.gz"))
    atlas = load_atlas(config, grid.image(np.ones(len(grid.voxels), np.uint8)))
    labels = torch.from_numpy(grow_labels(atlas.labels, grid.voxels, grid.spacing_mm, 4.0))
    tokenizer = tokenizer_for(grid, atlas, TokensConfig(kind=kind))
    assert set(tokenizer.values) == set(atlas.regions["index"]) - set(atlas.lost)
    for number, value in enumerate(tokenizer.values):
        mask = hide_regions(tokenizer.pool, [number])
        assert torch.equal(mask[: len(tokenizer.voxel)], mask[len(tokenizer.voxel) :])
        hidden = mask[: len(tokenizer.voxel)]
        voxels = tokenizer.voxel[hidden][tokenizer.valid[hidden]]
        seen = tokenizer.voxel[~hidden][tokenizer.valid[~hidden]]
        assert not (labels[seen] == value).any()
        if kind == "regions":
            assert (labels[voxels] == value).all()
        assert len(voxels) + len(seen) == (labels > 0).sum()
