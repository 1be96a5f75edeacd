from itertools import product

import numpy as np
import torch
from scipy.optimize import linprog
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from fmrifm.masking import Pool
from fmrifm.masking.parcels import ParcelMasker

WINDOWS = 6


def drawn(pool: Pool, seed: int = 0) -> torch.Tensor:
    return ParcelMasker(pool, 0.75).parcels(WINDOWS, torch.Generator().manual_seed(seed))


def test_every_window_has_as_many_parcels_as_regions_and_of_their_sizes(any_pool):
    sizes = torch.bincount(any_pool.region)
    expected = sizes[sizes > 0].sort().values  # of patches, not every region has one
    for parcel in drawn(any_pool):
        assert torch.equal(parcel.unique(return_counts=True)[1].sort().values, expected)


def test_in_voxels_sorted_sizes_differ_by_less_than_a_chunk_on_average(pool):
    expected = pool.counts.sum(dim=1).sort().values
    for parcel in drawn(pool):
        voxels = torch.zeros(256, dtype=torch.long).index_add(0, parcel, pool.voxels)
        found = voxels[voxels > 0].sort().values
        assert (found - expected).abs().float().mean() < 15


def test_parcels_are_redrawn_in_every_window_and_repeat_for_a_seed(pool):
    one, again, other = drawn(pool), drawn(pool), drawn(pool, seed=1)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert len({tuple(parcel.tolist()) for parcel in one}) == WINDOWS


def test_a_parcel_is_hidden_whole_or_not_at_all(pool):
    masker, generator = ParcelMasker(pool, 0.75), torch.Generator()
    mask = masker(WINDOWS, generator.manual_seed(0))[:, : len(pool.voxels)]
    generator.manual_seed(0)
    torch.rand(WINDOWS, 256, generator=generator)  # the order of the parcels is drawn first
    for parcel, hidden in zip(masker.parcels(WINDOWS, generator), mask, strict=True):
        for number in parcel.unique():
            assert hidden[parcel == number].unique().numel() == 1


def test_almost_all_parcels_hang_together(tokenizer, brain):
    """Chunks hang together where two of their voxels touch; the brain has clefts, which a plane may leap."""
    grid, _ = brain
    touching = touching_chunks(tokenizer, grid)
    together = [connected(touching, parcel) for parcel in drawn(tokenizer.pool).numpy()]
    assert connected(touching, tokenizer.region.numpy()) > 0.99
    assert np.mean(together) > 0.9


def test_in_a_solid_block_parcels_are_cut_by_planes():
    """Whatever two parcels: a plane lies between them."""
    places = torch.tensor(list(product(range(6), range(7), range(5)))).float() * 12
    counts = torch.zeros(20, len(places), dtype=torch.long)
    counts[torch.arange(len(places)) * 20 // len(places), torch.arange(len(places))] = 27
    pool = Pool(counts=counts, system=torch.arange(20), centre_mm=places, patches=1)
    parcel = drawn(pool)[0]
    numbers = parcel.unique()
    assert len(numbers) == 20
    for one in numbers:
        for other in numbers[numbers > one]:
            assert separable(places[parcel == one].numpy(), places[parcel == other].numpy())


def touching_chunks(tokenizer, grid) -> csr_array:
    """Pairs of chunks with voxels that share a face, an edge or a corner."""
    chunk = np.full(len(grid.voxels), -1)
    valid = tokenizer.valid.numpy()
    chunk[tokenizer.voxel.numpy()[valid]] = np.nonzero(valid)[0]
    box = np.full(np.add(grid.shape, 2), -1)
    box[tuple(grid.voxels.T + 1)] = chunk
    shifted = [np.roll(box, shift, axis=(0, 1, 2)) for shift in product((-1, 0, 1), repeat=3)]
    one, other = np.tile(box.ravel(), len(shifted)), np.ravel(shifted)
    both = (one >= 0) & (other >= 0)
    return csr_array((np.ones(both.sum(), bool), (one[both], other[both])), shape=(len(valid), len(valid)))


def connected(touching: csr_array, parcel: np.ndarray) -> float:
    """Share of parcels that are in one piece."""
    pieces = [connected_components(touching[parcel == number][:, parcel == number])[0] for number in np.unique(parcel)]
    return float(np.mean(np.array(pieces) == 1))


def separable(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether a plane lies between two sets of points (a linear programme is feasible)."""
    rows = np.concatenate([np.c_[one, np.ones(len(one))], -np.c_[other, np.ones(len(other))]])
    return linprog(np.zeros(4), A_ub=rows, b_ub=-np.ones(len(rows)), bounds=(None, None)).status == 0
