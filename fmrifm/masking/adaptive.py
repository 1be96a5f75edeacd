"""Hide whole regions, more often those that are still predicted badly."""

import torch
from torch import Generator, Tensor

from fmrifm.masking.base import Pool
from fmrifm.masking.region import RegionMasker

_DECAY = 0.99
"""What is left of a step's errors at the next one: the memory is about a hundred steps."""
_LEAST = 0.01
"""A region predicted perfectly is still drawn, with the weight of this share of squares left."""


class AdaptiveMasker(RegionMasker):
    """Draw regions without replacement, with probability by their share of squares left unexplained.

    Weighted draws by exponential keys (Efraimidis and Spirakis 2006, doi:10.1016/j.ipl.2005.11.003). A
    region of which nothing is known weighs as much as the average; so at the start all weigh the same.
    """

    learns = True
    squares: Tensor
    """Running sums of squares left and to explain, shape (2, R); a buffer, so that a resumed run has them."""

    def __init__(self, pool: Pool, ratio: float) -> None:
        super().__init__(pool, ratio)
        self.register_buffer("squares", torch.zeros(2, self.regions, device=pool.counts.device))

    def update(self, left_R: Tensor, total_R: Tensor) -> None:
        """Fade what is known and add the squares of a step, summed over all processes."""
        self.squares.mul_(_DECAY).add_(torch.stack([left_R, total_R]))

    @property
    def weight(self) -> Tensor:
        """How much each region wants to be hidden, shape (R,): its unexplained share, 1 where all are unknown."""
        left, total = self.squares
        average = left.sum() / total.sum() if total.any() else torch.ones_like(left)
        return torch.where(total > 0, left / total, average).clamp(min=_LEAST)

    def keys(self, batch: int, generator: Generator) -> Tensor:
        """Order in which regions are hidden, shape (B, R)."""
        waiting_BR = torch.empty(batch, self.regions, device=generator.device).exponential_(generator=generator)
        return waiting_BR / self.weight
