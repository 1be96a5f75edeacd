"""Which tokens the encoder sees and which are predicted, the same number in every window.

Axes: B windows, N tokens, Q predicted tokens.
"""

from typing import NamedTuple

import torch
from torch import Generator, Tensor


class Draw(NamedTuple):
    """Tokens of a batch by their indices."""

    visible: Tensor
    """Tokens that the encoder sees, shape (B, N visible)."""
    query: Tensor
    """Tokens to predict, shape (B, Q)."""

    def rows(self, which: slice) -> "Draw":
        """Those of some of the windows."""
        return Draw(self.visible[which], self.query[which])


def draw_tokens(hidden: Tensor, generator: Generator, queries: int | None = None) -> Draw:
    """Leave out surplus visible tokens, so that windows stack, and draw what is predicted.

    Args:
        hidden: True where a token is hidden, shape (B, N).
        generator: Source of randomness, on the device of `hidden`.
        queries: Hidden tokens to predict in each window; by default as many as every window has.
    """
    return Draw(visible=draw(~hidden, None, generator), query=draw(hidden, queries, generator))


def draw(choice: Tensor, count: int | None, generator: Generator) -> Tensor:
    """Draw the same number of True entries from every row, without replacement.

    Args:
        choice: Candidates, shape (B, N), bool.
        count: How many; fewer are drawn where some row has fewer. None draws as many as every row has.
        generator: Source of randomness.

    Returns:
        Indices, shape (B, count).
    """
    every_row_has = int(choice.sum(dim=1).min())
    count = every_row_has if count is None else min(count, every_row_has)
    noise = torch.rand(choice.shape, generator=generator, device=choice.device)
    return (noise + ~choice).argsort(dim=1)[:, :count]


def take(values: Tensor, index: Tensor) -> Tensor:
    """Pick tokens: values (B, N, ...) at indices (B, Q) to (B, Q, ...)."""
    rows = torch.arange(len(index), device=index.device)[:, None]
    return values[rows, index]
