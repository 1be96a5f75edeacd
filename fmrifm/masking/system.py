"""Hide whole systems of regions, e.g. all that is limbic, for the whole window."""

from torch import Generator, Tensor

from fmrifm.masking.base import Pool, order, uniform
from fmrifm.masking.region import RegionMasker


class SystemMasker(RegionMasker):
    """Hide whole systems in random order, and regions of the next one up to the budget.

    Nine systems, of half a per cent to 27 % of the voxels each, miss the share by several points. So one
    further system is hidden in part, by whole regions; the last small gap is closed by the region
    that fits best, as it is for regions.
    """

    system: Tensor

    def __init__(self, pool: Pool, ratio: float) -> None:
        super().__init__(pool, ratio, system=pool.system)
        self.systems = int(pool.system.max()) + 1

    def keys(self, batch: int, generator: Generator) -> Tensor:
        """Order in which regions are hidden, shape (B, R): those of a system one after the other."""
        return order(uniform(batch, self.systems, generator))[:, self.system] + super().keys(batch, generator)
