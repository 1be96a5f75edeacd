"""Hide tokens at random in space and time (He et al. 2022, arXiv:2111.06377)."""

import torch
from torch import Generator, Tensor

from fmrifm.masking.base import Masker, fill_budget, uniform


class RandomMasker(Masker):
    """Hide single tokens, each drawn on its own."""

    def forward(self, batch: int, generator: Generator) -> Tensor:
        """Return a mask of shape (B, N), True = hidden."""
        voxels_N = self.voxels.repeat(self.patches)
        token = torch.arange(len(voxels_N), device=voxels_N.device)[:, None]
        return fill_budget(uniform(batch, len(voxels_N), generator), token, voxels_N, self.ratio)
