"""Granule cells: a fixed, sparse, random expansion, in which each cell hears a few mossy fibres.

About four inputs a cell make the most of a fixed random expansion (Litwin-Kumar et al. 2017,
doi:10.1016/j.neuron.2017.01.030).

Axes: M mossy fibres, G granule cells.
"""

import torch
from torch import Tensor, nn


def sparse_mask(cells: int, inputs: int, fan_in: int, generator: torch.Generator) -> Tensor:
    """Choose which inputs each cell hears: exactly `fan_in` True in each row, shape (G, M).

    Raises:
        ValueError: There are fewer inputs.
    """
    if not 1 <= fan_in <= inputs:
        raise ValueError(f"{fan_in} inputs a cell, of {inputs}")
    chosen = torch.rand(cells, inputs, generator=generator).argsort(dim=1)[:, :fan_in]
    return torch.zeros(cells, inputs, dtype=torch.bool).scatter(1, chosen, True)


class GranuleLayer(nn.Module):
    """g = ReLU(J m - theta), with fixed sparse random J: nothing in it learns.

    Args:
        inputs: Mossy fibres, M.
        cells: Granule cells, G.
        fan_in: Inputs a cell.
        generator: Draws who hears whom, and the weights.
    """

    weight: Tensor
    threshold: Tensor

    def __init__(self, inputs: int, cells: int, fan_in: int, generator: torch.Generator) -> None:
        super().__init__()
        mask = sparse_mask(cells, inputs, fan_in, generator)
        weight = torch.randn(cells, inputs, generator=generator) / fan_in**0.5
        self.register_buffer("weight", weight * mask)
        self.register_buffer("threshold", torch.zeros(cells))

    @torch.no_grad()
    def calibrate(self, mossy: Tensor, silent: float = 0.7) -> None:
        """Set each cell's threshold so that it is silent for that share of examples (n, M)."""
        self.threshold.copy_(torch.quantile(mossy @ self.weight.T, silent, dim=0))

    def forward(self, mossy: Tensor) -> Tensor:
        """Mossy fibres (..., M) to granule cells (..., G)."""
        return torch.relu(mossy @ self.weight.T - self.threshold)
