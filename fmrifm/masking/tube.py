"""Hide chunks for the whole window (Tong et al. 2022, VideoMAE, arXiv:2203.12602)."""

from torch import Generator, Tensor

from fmrifm.masking.base import Pool, fill_budget


class TubeMasker:
    """Hide single chunks: a hidden chunk is hidden at every time patch."""

    def __init__(self, pool: Pool, ratio: float) -> None:
        self.pool = pool
        self.ratio = ratio

    def __call__(self, batch: int, generator: Generator) -> Tensor:
        """Return a mask of shape (B, N), True = hidden."""
        return fill_budget(self.pool.voxels, self.ratio, batch, generator).repeat(1, self.pool.patches)
