"""A masker: keys say in which order units are hidden, and the budget is kept for you."""

import torch
from torch import Generator, Tensor

from fmrifm.masking import MASKERS
from fmrifm.masking.base import Masker, Pool, fill_budget, uniform


class HemisphereMasker(Masker):
    """Hide chunks of one hemisphere first, drawn for each window, at all times."""

    right: Tensor

    def __init__(self, pool: Pool, ratio: float) -> None:
        super().__init__(pool, ratio, right=pool.centre_mm[:, 0] > 0)

    def forward(self, batch: int, generator: Generator) -> Tensor:
        """Return a mask of shape (B, N), True = hidden."""
        side = uniform(batch, 1, generator) > 0.5
        keys = uniform(batch, len(self.right), generator) + (self.right != side)
        chunk = torch.arange(len(self.right), device=self.right.device)[:, None]
        return fill_budget(keys, chunk, self.voxels, self.ratio).repeat(1, self.patches)


MASKERS["hemisphere"] = HemisphereMasker  # MaskingConfig(kind="hemisphere")
