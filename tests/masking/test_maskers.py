"""One law for all maskers, and the shape that each strategy is named after."""

from typing import get_args

import pytest
import torch

from fmrifm.config import MaskingConfig, MaskKind
from fmrifm.masking import Masker, Pool, masker_for

KINDS = get_args(MaskKind)


def built(kind: str, pool: Pool, ratio: float = 0.75, rule: str = "majority") -> Masker:
    return masker_for(pool, MaskingConfig(kind=kind, ratio=ratio, rule=rule))


def masks(kind: str, pool: Pool, windows: int = 8, ratio: float = 0.75, **settings: str) -> torch.Tensor:
    return built(kind, pool, ratio, **settings)(windows, torch.Generator().manual_seed(0))


def in_time(mask: torch.Tensor, pool: Pool) -> torch.Tensor:
    """(B, N) to (B, T, K)."""
    return mask.unflatten(1, (pool.patches, -1))


@pytest.mark.parametrize("ratio", [0.5, 0.75])
@pytest.mark.parametrize("kind", KINDS)
def test_every_masker_hides_the_asked_share_of_voxels_in_every_window(kind, ratio, any_pool):
    mask = masks(kind, any_pool, 128, ratio)
    voxels = any_pool.voxels.repeat(any_pool.patches)
    share = (mask * voxels).sum(dim=1) / voxels.sum()
    assert mask.dtype == torch.bool
    assert mask.shape == (128, len(voxels))
    assert torch.all((share - ratio).abs() <= 0.01)
    assert share.mean().item() == pytest.approx(ratio, abs=0.001)


@pytest.mark.parametrize("kind", ["region", "system", "adaptive"])
def test_by_the_rule_any_the_voxels_of_all_hidden_patches_count_once(kind, grid_pool):
    share = (in_time(masks(kind, grid_pool, 128, rule="any"), grid_pool)[:, 0] * grid_pool.voxels).sum(dim=1)
    share = share / grid_pool.voxels.sum()
    assert torch.all((share - 0.75).abs() <= 0.015)
    assert share.mean().item() == pytest.approx(0.75, abs=0.001)


@pytest.mark.parametrize("kind", KINDS)
def test_every_masker_repeats_itself_for_a_seed_and_differs_between_windows_and_seeds(kind, pool):
    masker = built(kind, pool)
    first, again, other = (masker(3, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len({tuple(mask.tolist()) for mask in first}) == 3


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "future"])
def test_every_masker_hides_every_token_at_some_time(kind, any_pool):
    mask = masks(kind, any_pool, 300)
    assert mask.any(dim=0).all()
    assert not mask.all(dim=0).any()


@pytest.mark.parametrize("kind", ["tube", "region", "system", "parcels", "adaptive"])
def test_what_is_hidden_is_hidden_at_all_times(kind, any_pool):
    mask = in_time(masks(kind, any_pool), any_pool)
    assert torch.equal(mask.all(dim=1), mask.any(dim=1))


def test_random_hides_a_chunk_at_some_times_only(pool):
    mask = in_time(masks("random", pool, ratio=0.5), pool)
    assert (mask.any(dim=1) & ~mask.all(dim=1)).any()


@pytest.mark.parametrize(("ratio", "whole"), [(0.75, 2), (0.5, 1), (0.2, 0)])
def test_the_future_is_the_end_of_the_window_and_begins_at_random(ratio, whole, any_pool):
    mask = in_time(masks("future", any_pool, 64, ratio), any_pool)
    assert not (mask[:, :-1] & ~mask[:, 1:]).any()  # what is hidden stays hidden
    by_patch = (mask * any_pool.voxels).sum(dim=2) / any_pool.voxels.sum()
    expected = torch.tensor([0.0] * (2 - whole) + [3 * ratio - whole] + [1.0] * whole)
    torch.testing.assert_close(by_patch, expected.expand(64, -1), atol=1e-3, rtol=0)
    assert not torch.equal(mask[0], mask[1])


@pytest.mark.parametrize("kind", ["region", "system", "adaptive"])
def test_a_region_is_hidden_whole_or_not_at_all(kind, pool):
    mask = masks(kind, pool)[:, : len(pool.voxels)]
    for region in range(len(pool.counts)):
        chunks = mask[:, pool.region == region]
        assert torch.equal(chunks.all(dim=1), chunks.any(dim=1))


def test_systems_are_hidden_whole_but_for_one_that_is_begun_and_one_region_that_fits(pool):
    mask, system = masks("system", pool, 64)[:, : len(pool.voxels)], pool.system[pool.region]
    hidden = torch.stack([mask[:, system == number].float().mean(dim=1) for number in system.unique()], dim=1)
    parts = ((hidden > 0) & (hidden < 1)).sum(dim=1)
    assert hidden.shape[1] == 9
    assert parts.max() <= 2
    assert (hidden == 1).sum(dim=1).min() >= 2
    assert (hidden == 1).any(dim=0).all()
    assert (hidden == 0).any(dim=0).sum() == 8  # the frontal one has more voxels than stay visible


def test_by_the_rule_majority_a_patch_goes_with_the_region_of_most_of_its_voxels(grid_pool):
    mask = masks("region", grid_pool)[:, : len(grid_pool.voxels)]
    for region in grid_pool.region.unique():
        patches = mask[:, grid_pool.region == region]
        assert torch.equal(patches.all(dim=1), patches.any(dim=1))


def test_by_the_rule_any_a_patch_is_hidden_for_a_region_that_is_hidden_to_the_last_voxel(grid_pool):
    mask, holds = masks("region", grid_pool, rule="any")[:, : len(grid_pool.voxels)], grid_pool.counts > 0
    gone = ~(holds[None] & ~mask[:, None]).any(dim=2)  # regions without a visible voxel, (B, R)
    assert torch.equal((gone[:, :, None] & holds).any(dim=1), mask)


def test_by_the_rule_pure_only_patches_inside_one_region_are_hidden(grid_pool):
    mask = masks("region", grid_pool, ratio=0.05, rule="pure")[:, : len(grid_pool.voxels)]
    assert mask.any()
    assert not mask[:, (grid_pool.counts > 0).sum(dim=0) > 1].any()
