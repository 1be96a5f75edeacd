"""Hide whole atlas regions for the whole window (region-aware masking, arXiv:2511.00443)."""

import torch
from torch import Generator, Tensor

from fmrifm.masking.base import Pool, fill_budget


class RegionMasker:
    """Hide whole regions: all chunks of a hidden region are hidden at every time patch."""

    def __init__(self, pool: Pool, ratio: float) -> None:
        self.pool = pool
        self.ratio = ratio
        self.voxels_R = torch.zeros(
            int(pool.region.max()) + 1, dtype=pool.voxels.dtype, device=pool.voxels.device
        ).index_add(0, pool.region, pool.voxels)

    def __call__(self, batch: int, generator: Generator) -> Tensor:
        """Return a mask of shape (B, N), True = hidden."""
        hidden_BR = fill_budget(self.voxels_R, self.ratio, batch, generator)
        return hidden_BR[:, self.pool.region].repeat(1, self.pool.patches)
