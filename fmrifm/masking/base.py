"""What every masking strategy shares: the pool it draws from and the voxel budget it keeps.

A masker is a module `(batch, generator) -> mask`, True where a token is hidden. All
strategies hide the same number of voxels of the same pool; they differ only in the units
that are hidden together, and in which come first: a token, a chunk at all times, a region.

Axes: B windows, T time patches, K chunks, R regions, N = T * K tokens (time-major), U units,
M units that a chunk can be hidden with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import pad

from fmrifm.config import Rule


@dataclass(frozen=True, eq=False)
class Pool:
    """The voxels that can be hidden, as tokens.

    Args:
        counts: Voxels of each region in each chunk, shape (R, K), integer.
        system: System number of each region, shape (R,).
        centre_mm: Mean position of each chunk's voxels, shape (K, 3).
        patches: Time patches in a window, T.
        rule: With which of its regions a chunk is hidden; all rules agree where a chunk lies in one region.
    """

    counts: Tensor
    system: Tensor
    centre_mm: Tensor
    patches: int
    rule: Rule = "majority"

    @property
    def voxels(self) -> Tensor:
        """Voxels in each chunk, shape (K,)."""
        return self.counts.sum(dim=0)

    @property
    def region(self) -> Tensor:
        """Region that most voxels of each chunk have, shape (K,); the first of equals."""
        return self.counts.argmax(dim=0)

    @property
    def hidden_with(self) -> Tensor:
        """Regions that each chunk is hidden with by the rule, shape (K, M); R where there is none."""
        inside = (self.counts > 0).sum(dim=0)
        if self.rule == "any":
            voxels_MK, region_MK = self.counts.topk(int(inside.max()), dim=0)
            return region_MK.masked_fill(voxels_MK == 0, len(self.counts)).T
        alone = inside == 1 if self.rule == "pure" else torch.ones_like(inside, dtype=torch.bool)
        return self.region.masked_fill(~alone, len(self.counts))[:, None]


class Masker(nn.Module):
    """Chooses the hidden tokens of a batch of windows.

    Args:
        pool: What may be hidden.
        ratio: Share of the pool's voxels to hide.
        tensors: What else the strategy draws from; it moves between devices with the masker.
    """

    learns = False
    """Whether `update` changes what is drawn."""
    voxels: Tensor

    def __init__(self, pool: Pool, ratio: float, **tensors: Tensor) -> None:
        super().__init__()
        self.patches = pool.patches
        self.ratio = ratio
        for name, values in {"voxels": pool.voxels, **tensors}.items():
            self.register_buffer(name, values, persistent=False)

    def forward(self, batch: int, generator: Generator) -> Tensor:
        """Return a mask of shape (B, N), True = hidden; the generator is on the masker's device."""
        raise NotImplementedError

    def update(self, left_R: Tensor, total_R: Tensor) -> None:
        """Take note of how well regions were predicted, where the strategy `learns` from it.

        Args:
            left_R: Squared error over the predicted voxels of each region, shape (R,), over all processes.
            total_R: Squared signal of the same voxels, shape (R,).
        """


def uniform(batch: int, units: int, generator: Generator) -> Tensor:
    """Keys that put units into random order, shape (B, U)."""
    return torch.rand(batch, units, generator=generator, device=generator.device)


def order(key_BU: Tensor) -> Tensor:
    """Place of each unit when keys ascend, 0 to U - 1, shape (B, U)."""
    return key_BU.argsort(dim=1).argsort(dim=1)


def fill_budget(key_BU: Tensor, unit: Tensor, voxels_K: Tensor, ratio: float) -> Tensor:
    """Hide units in ascending order of their keys up to a voxel budget, then the one that comes closest to it.

    Units are taken in order until the next one would overshoot; the gap that is left is closed by the
    single further unit that adds the number of voxels nearest to it, if that brings the share closer.
    What counts are the voxels of the chunks hidden, so a chunk in two units counts once.

    Args:
        key_BU: Order of the units in each window, shape (B, U).
        unit: Units that each chunk is hidden with, shape (K, M), or (B, K, M) where they differ between
            windows; U where there is none.
        voxels_K: Voxels in each chunk, shape (K,), integer.
        ratio: Share of all voxels to hide.

    Returns:
        Hidden chunks, shape (B, K), True = hidden.
    """
    batch, units = key_BU.shape
    budget = round(ratio * int(voxels_K.sum()))
    place_BU = pad(order(key_BU), (0, 1), value=units)
    unit_BKM = unit.expand(batch, -1, -1)
    place_BKM = place_BU.gather(1, unit_BKM.flatten(1)).view_as(unit_BKM)
    first_BK = place_BKM.amin(dim=2)

    def added(place: Tensor, voxels: Tensor) -> Tensor:
        """Voxels by place in the order, shape (B, U)."""
        empty = voxels.new_zeros(batch, units + 1)
        return empty.scatter_add(1, place.flatten(1), voxels.expand_as(place).flatten(1))[:, :units]

    taken_BU = added(first_BK, voxels_K).cumsum(dim=1) <= budget
    hidden_BK = pad(taken_BU, (0, 1), value=False).gather(1, first_BK)
    left_BK = voxels_K * ~hidden_BK
    gap_B1 = left_BK.sum(dim=1, keepdim=True) - (voxels_K.sum() - budget)
    miss_BU = (added(place_BKM, left_BK[..., None]) - gap_B1).abs()
    nearest_B1 = miss_BU.argmin(dim=1, keepdim=True)
    closer_B1 = miss_BU.gather(1, nearest_B1) < gap_B1
    return hidden_BK | ((place_BKM == nearest_B1[..., None]).any(dim=2) & closer_B1)


def hide_regions(pool: Pool, numbers: Sequence[int]) -> Tensor:
    """Hide chosen regions for the whole window, shape (N,): True for every token that holds a voxel of one."""
    return (pool.counts[list(numbers)] > 0).any(dim=0).repeat(pool.patches)


def hidden_share(mask: Tensor, pool: Pool) -> Tensor:
    """Share of the pool's voxels that a mask (B, N) hides, over the whole batch; a scalar."""
    voxels_N = pool.voxels.repeat(pool.patches)
    return (mask * voxels_N).sum() / (len(mask) * voxels_N.sum())
