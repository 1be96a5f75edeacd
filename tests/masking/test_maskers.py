"""One law for all maskers, and the shape that each strategy is named after."""

import pandas as pd
import pytest
import torch

from fmrifm.masking import MASKERS, Pool
from fmrifm.masking.base import fill_budget
from fmrifm.resources import resource

PATCHES = 3


@pytest.fixture(scope="module")
def pool() -> Pool:
    """AAL3's 166 regions at their volumes on a 4 mm grid, in chunks of at most 27 voxels, 3 time patches."""
    table = pd.read_csv(resource("atlases", "aal3", "regions.tsv"), sep="\t")
    sizes, region = [], []
    for number, volume_mm3 in enumerate(table["volume_mm3"]):
        voxels = max(1, round(volume_mm3 / 4**3))
        chunks = [27] * (voxels // 27) + [voxels % 27] * (voxels % 27 > 0)
        sizes += chunks
        region += [number] * len(chunks)
    return Pool(voxels=torch.tensor(sizes), region=torch.tensor(region), patches=PATCHES)


@pytest.mark.parametrize("ratio", [0.5, 0.75])
@pytest.mark.parametrize("kind", MASKERS)
def test_every_masker_hides_the_asked_share_of_voxels_within_half_a_point(kind, ratio, pool):
    mask = MASKERS[kind](pool, ratio)(64, torch.Generator().manual_seed(0))
    voxels = pool.voxels.repeat(PATCHES)
    share = (mask * voxels).sum(dim=1) / voxels.sum()
    assert mask.shape == (64, len(voxels))
    assert torch.all((share - ratio).abs() <= 0.005)


@pytest.mark.parametrize("kind", MASKERS)
def test_every_masker_repeats_itself_for_a_seed_and_differs_between_windows(kind, pool):
    masker = MASKERS[kind](pool, 0.75)
    first, again = (masker(2, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize("kind", MASKERS)
def test_every_masker_hides_every_token_at_some_time(kind, pool):
    mask = MASKERS[kind](pool, 0.75)(400, torch.Generator().manual_seed(0))
    assert mask.any(dim=0).all()
    assert not mask.all(dim=0).any()


def test_a_tube_hides_a_chunk_at_all_times(pool):
    mask = MASKERS["tube"](pool, 0.75)(8, torch.Generator().manual_seed(0)).unflatten(1, (PATCHES, -1))
    assert torch.equal(mask.all(dim=1), mask.any(dim=1))


def test_a_region_is_hidden_whole_or_not_at_all(pool):
    mask = MASKERS["region"](pool, 0.75)(8, torch.Generator().manual_seed(0)).unflatten(1, (PATCHES, -1))
    for region in range(166):
        chunks = mask[:, :, pool.region == region].flatten(1)
        assert torch.equal(chunks.all(dim=1), chunks.any(dim=1))


def test_random_hides_a_chunk_at_some_times_only(pool):
    mask = MASKERS["random"](pool, 0.5)(8, torch.Generator().manual_seed(0)).unflatten(1, (PATCHES, -1))
    assert (mask.any(dim=1) & ~mask.all(dim=1)).any()


def test_the_gap_before_a_large_unit_is_closed_by_the_unit_of_the_nearest_size():
    hidden = fill_budget(torch.tensor([100, 100, 10, 9]), 110 / 219, 60, torch.Generator().manual_seed(0))
    voxels = (hidden * torch.tensor([100, 100, 10, 9])).sum(dim=1)
    assert set(voxels.tolist()) <= {109, 110, 119}  # 119: both small ones came first, then a large one came closest
    assert (voxels == 110).any()
