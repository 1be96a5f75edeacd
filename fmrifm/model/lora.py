"""Low-rank adaptation: attention projections change by a product of two thin matrices, all else stands still.

Hu et al. 2022, arXiv:2106.09685, with their alpha equal to the rank, so that the product is added as it is.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, register_parametrization, remove_parametrizations

ADAPTED = ("to_q", "to_v")
"""Maps to queries and values: the pair that did best in the paper's section 7.1."""


_PLACE = ".parametrizations.weight.0"


class LowRank(nn.Module):
    """Adds B A to a weight; B starts at 0, so that at first nothing changes.

    Args:
        weight: What is added to, shape (rows, columns).
        rank: Rows of A and columns of B.
        generator: Draws A.
    """

    def __init__(self, weight: Tensor, rank: int, generator: Generator) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.a = nn.Parameter(torch.randn(rank, columns, generator=generator) * columns**-0.5)
        self.b = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weight."""
        return weight + self.b @ self.a


def add_lora(encoder: nn.Module, rank: int, generator: Generator) -> None:
    """Freeze an encoder and let its attention change by low-rank matrices.

    Raises:
        ValueError: The encoder has no map to queries or values.
    """
    encoder.requires_grad_(False)
    linears = [linear for name, linear in _linears(encoder) if name.split(".")[-1] in ADAPTED]
    if not linears:
        raise ValueError(f"add_lora: no linear layer called {' or '.join(ADAPTED)} in {type(encoder).__name__}.")
    for linear in linears:
        register_parametrization(linear, "weight", LowRank(linear.weight, rank, generator))


def lora_factors(encoder: nn.Module) -> nn.ModuleDict:
    """The low-rank matrices of an encoder by the name of their layer: what a checkpoint has to keep."""
    return nn.ModuleDict(
        {
            name.removesuffix(_PLACE).replace(".", "_"): module
            for name, module in encoder.named_modules()
            if isinstance(module, LowRank)
        }
    )


def merge_lora(encoder: nn.Module) -> None:
    """Make the changes part of the weights; the encoder is then a plain one."""
    for _, linear in list(_linears(encoder)):
        if is_parametrized(linear, "weight"):
            remove_parametrizations(linear, "weight", leave_parametrized=True)


def _linears(encoder: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    return ((name, module) for name, module in encoder.named_modules() if isinstance(module, nn.Linear))
