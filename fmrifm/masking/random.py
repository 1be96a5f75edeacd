"""Hide tokens at random in space and time (He et al. 2022, arXiv:2111.06377)."""

from torch import Generator, Tensor

from fmrifm.masking.base import Pool, fill_budget


class RandomMasker:
    """Hide single tokens, each drawn on its own."""

    def __init__(self, pool: Pool, ratio: float) -> None:
        self.voxels_N = pool.voxels.repeat(pool.patches)
        self.ratio = ratio

    def __call__(self, batch: int, generator: Generator) -> Tensor:
        """Return a mask of shape (B, N), True = hidden."""
        return fill_budget(self.voxels_N, self.ratio, batch, generator)
