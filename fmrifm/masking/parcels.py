"""Hide random contiguous parcels as large as the atlas's regions: the control of region masking.

If whole regions teach more than these, it is anatomy that does it, and not the size of the holes.

Axes: B windows, K chunks, U slots (parcels, and empty ones up to a power of two), G groups of slots.
"""

import torch
from torch import Generator, Tensor
from torch.nn.functional import normalize, pad

from fmrifm.masking.base import Masker, Pool, fill_budget, uniform

_FAR_MM = 1e3
"""Farther than any two chunks lie apart."""


class ParcelMasker(Masker):
    """Hide whole parcels at every time patch; each window has its own, with as many chunks as the regions have."""

    sizes: Tensor
    centre_mm: Tensor

    def __init__(self, pool: Pool, ratio: float) -> None:
        sizes = torch.bincount(pool.region)
        self.levels = (len(sizes) - 1).bit_length()
        sizes = pad(sizes, (0, 2**self.levels - len(sizes)))
        super().__init__(pool, ratio, sizes=sizes, centre_mm=pool.centre_mm)

    def forward(self, batch: int, generator: Generator) -> Tensor:
        """Return a mask of shape (B, N), True = hidden."""
        key_BU = uniform(batch, len(self.sizes), generator)
        parcel_BK = self.parcels(batch, generator)
        return fill_budget(key_BU, parcel_BK[..., None], self.voxels, self.ratio).repeat(1, self.patches)

    def parcels(self, batch: int, generator: Generator) -> Tensor:
        """Tile the pool: parcel number of each chunk, shape (B, K).

        The sizes are shuffled, and lie one after the other along a row of all chunks. At each level the list
        of sizes is halved, and the chunks of each part sorted along a line, so that a plane cuts them
        where the sizes of the halves say. Parcels are so convex, and their sizes those of the regions.
        """
        size_BU = self.sizes[uniform(batch, len(self.sizes), generator).argsort(dim=1)]
        place = torch.arange(len(self.voxels), device=self.voxels.device).repeat(batch, 1)
        slot_BK = torch.searchsorted(size_BU.cumsum(dim=1), place, right=True)
        row_BK = place  # the chunk at each place
        for level in reversed(range(self.levels)):
            group_BK = slot_BK >> (level + 1)
            along_BK = _random_lines(self.centre_mm[row_BK], group_BK, len(self.sizes) >> (level + 1), generator)
            row_BK = row_BK.gather(1, (group_BK * _FAR_MM + along_BK).argsort(dim=1))
        return torch.empty_like(slot_BK).scatter(1, row_BK, slot_BK)


def _random_lines(centre_BK3: Tensor, group_BK: Tensor, groups: int, generator: Generator) -> Tensor:
    """Place of each chunk along a line through its group, in mm, shape (B, K).

    A random direction is multiplied by the group's scatter matrix, so that long groups are cut across
    more often than along: that makes parcels as compact as the regions.
    """
    member_BGK = (group_BK[:, None] == torch.arange(groups, device=group_BK.device)[:, None]).float()

    def of_chunks(values_BG3: Tensor) -> Tensor:
        return values_BG3.gather(1, group_BK[..., None].expand(-1, -1, 3))

    # Sums as matrix products: added up in one order, they give the same parcels again on a GPU too.
    mean_BG3 = member_BGK @ centre_BK3 / member_BGK.sum(dim=2, keepdim=True).clamp(min=1)
    offset_BK3 = centre_BK3 - of_chunks(mean_BG3)
    random_BG3 = torch.randn(len(centre_BK3), groups, 3, generator=generator, device=generator.device)
    along_BK1 = (offset_BK3 * of_chunks(random_BG3)).sum(dim=2, keepdim=True)
    line_BG3 = normalize(member_BGK @ (offset_BK3 * along_BK1), dim=2)
    return (offset_BK3 * of_chunks(line_BG3)).sum(dim=2)
