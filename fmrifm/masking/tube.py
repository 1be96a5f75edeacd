"""Hide chunks for the whole window (Tong et al. 2022, VideoMAE, arXiv:2203.12602)."""

import torch
from torch import Generator, Tensor

from fmrifm.masking.base import Masker, fill_budget, uniform


class TubeMasker(Masker):
    """Hide single chunks: a hidden chunk is hidden at every time patch."""

    def forward(self, batch: int, generator: Generator) -> Tensor:
        """Return a mask of shape (B, N), True = hidden."""
        return self.hidden_chunks(batch, self.ratio, generator).repeat(1, self.patches)

    def hidden_chunks(self, batch: int, ratio: float, generator: Generator) -> Tensor:
        """Draw chunks that hold a share of the voxels, shape (B, K)."""
        chunk = torch.arange(len(self.voxels), device=self.voxels.device)[:, None]
        return fill_budget(uniform(batch, len(self.voxels), generator), chunk, self.voxels, ratio)
