"""Hide whole atlas regions for the whole window (region-aware masking, arXiv:2511.00443)."""

from torch import Generator, Tensor

from fmrifm.errors import ConfigError
from fmrifm.masking.base import Masker, Pool, fill_budget, uniform


class RegionMasker(Masker):
    """Hide whole regions: all chunks of a hidden region are hidden at every time patch.

    Raises:
        ConfigError: So few chunks are hidden with a region that the share cannot be reached.
    """

    hidden_with: Tensor

    def __init__(self, pool: Pool, ratio: float, **tensors: Tensor) -> None:
        super().__init__(pool, ratio, hidden_with=pool.hidden_with, **tensors)
        self.regions = len(pool.counts)
        within = (self.hidden_with < self.regions).any(dim=1)
        share = float(self.voxels[within].sum() / self.voxels.sum())
        if share < ratio:
            raise ConfigError(
                f"masking.ratio is {ratio}, but by masking.rule {pool.rule} regions hide at most {share:.1%} of the "
                "pool's voxels. Choose the rule majority or any, or a smaller ratio."
            )

    def forward(self, batch: int, generator: Generator) -> Tensor:
        """Return a mask of shape (B, N), True = hidden."""
        hidden_BK = fill_budget(self.keys(batch, generator), self.hidden_with, self.voxels, self.ratio)
        return hidden_BK.repeat(1, self.patches)

    def keys(self, batch: int, generator: Generator) -> Tensor:
        """Order in which regions are hidden, shape (B, R)."""
        return uniform(batch, self.regions, generator)
