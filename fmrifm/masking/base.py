"""What every masking strategy shares: the pool it draws from and the voxel budget it keeps.

A masker is a callable `(batch, generator) -> mask`, True where a token is hidden. All
strategies hide the same number of voxels of the same pool; they differ only in the units
that are hidden together: a token, a chunk at all times, a region at all times.

Axes: B windows, T time patches, K chunks, R regions, N = T * K tokens (time-major), U units.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor


@dataclass(frozen=True, eq=False)
class Pool:
    """The voxels that can be hidden, as tokens.

    Args:
        voxels: Voxels in each chunk, shape (K,), integer.
        region: Region number of each chunk, shape (K,), 0 to R - 1.
        patches: Time patches in a window, T.
    """

    voxels: Tensor
    region: Tensor
    patches: int


class Masker(Protocol):
    """Chooses the hidden tokens of a batch of windows."""

    def __init__(self, pool: Pool, ratio: float) -> None: ...

    def __call__(self, batch: int, generator: Generator) -> Tensor:
        """Return a mask of shape (B, N), True = hidden."""


def fill_budget(voxels_U: Tensor, ratio: float, batch: int, generator: Generator) -> Tensor:
    """Hide units in random order up to a voxel budget, then the one that comes closest to it.

    Units are taken in random order until the next one would overshoot; the gap that is left is
    closed by the single further unit whose size is nearest to it, if that brings the share closer.

    Args:
        voxels_U: Voxels in each unit, shape (U,), integer.
        ratio: Share of all voxels to hide.
        batch: Windows, each with its own draw.
        generator: Source of randomness, on the device of `voxels_U`.

    Returns:
        Hidden units, shape (B, U), True = hidden.
    """
    order_BU = torch.rand(batch, len(voxels_U), generator=generator, device=voxels_U.device).argsort(dim=1)
    size_BU = voxels_U[order_BU]
    budget = round(ratio * int(voxels_U.sum()))
    hidden_BU = size_BU.cumsum(dim=1) <= budget
    gap_B1 = budget - (size_BU * hidden_BU).sum(dim=1, keepdim=True)
    miss_BU = (size_BU - gap_B1).abs().masked_fill(hidden_BU, budget)
    miss_B1, closest_B1 = miss_BU.min(dim=1, keepdim=True)
    hidden_BU = hidden_BU.scatter(1, closest_B1, (miss_B1 < gap_B1) | hidden_BU.gather(1, closest_B1))
    return torch.zeros_like(hidden_BU).scatter(1, order_BU, hidden_BU)


def hidden_share(mask: Tensor, pool: Pool) -> Tensor:
    """Share of the pool's voxels that a mask (B, N) hides, over the whole batch; a scalar."""
    voxels_N = pool.voxels.repeat(pool.patches)
    return (mask * voxels_N).sum() / (len(mask) * voxels_N.sum())
