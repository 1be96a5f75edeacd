"""Hide each window by a strategy that is drawn for it."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Generator, Tensor, nn

from fmrifm.masking.base import Masker, Pool


class MixMasker(Masker):
    """Draw a strategy for each window.

    Args:
        pool: What may be hidden.
        ratio: Share of the pool's voxels to hide.
        weights: How often each strategy is drawn, in any unit.
    """

    weights: Tensor

    def __init__(self, pool: Pool, ratio: float, weights: Mapping[type[Masker], float]) -> None:
        often = torch.tensor(list(weights.values()), dtype=torch.float32, device=pool.counts.device)
        super().__init__(pool, ratio, weights=often)
        self.maskers = nn.ModuleList(masker(pool, ratio) for masker in weights)
        self.learns = any(masker.learns for masker in weights)

    def forward(self, batch: int, generator: Generator) -> Tensor:
        """Return a mask of shape (B, N), True = hidden."""
        drawn_B = self.weights.multinomial(batch, replacement=True, generator=generator)
        masks = torch.stack([masker(batch, generator) for masker in self.maskers])
        return masks[drawn_B, torch.arange(batch, device=drawn_B.device)]

    def update(self, left_R: Tensor, total_R: Tensor) -> None:
        """Pass what is known on."""
        for masker in self.maskers:
            cast("Masker", masker).update(left_R, total_R)
