"""Pooling: token features of all windows of a scan become one vector.

Axes: S scans, n windows of a scan, N = T * K tokens, W width.
"""

import math

import torch
from torch import Tensor, nn

_MOST_HEADS = 8


class Pooling(nn.Module):
    """Turns token features (S, n, N, W) into one vector a scan, shape (S, size).

    It does so in two steps: `summarise` looks at each scan alone; `vectorise` may measure the summary against
    the training scans, which it knows from `fit`.
    """

    size: int

    def summarise(self, features: Tensor) -> Tensor:
        """Features (S, n, N, W) to one summary a scan, shape (S, ...)."""
        raise NotImplementedError

    def collect(self, summaries: list[Tensor]) -> Tensor:
        """Summaries of single scans (1, ...) as one tensor (S, ...)."""
        return torch.cat(summaries)

    def fit(self, summaries: Tensor) -> None:
        """Learn from the summaries of training scans; most poolings have nothing to learn from them."""

    def vectorise(self, summaries: Tensor) -> Tensor:
        """Summaries (S, ...) to vectors (S, size)."""
        return summaries

    def forward(self, features: Tensor) -> Tensor:
        """Features (S, n, N, W) to (S, size)."""
        return self.vectorise(self.summarise(features))


class MeanPooling(Pooling):
    """Mean of the token features over windows and tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.size = width

    def summarise(self, features: Tensor) -> Tensor:
        """Features (S, n, N, W) to (S, W)."""
        return features.mean(dim=(1, 2))


class AttentionPooling(Pooling):
    """Tokens weighted by their attention to one learned query; at the start all weigh the same.

    Tokens without signal, all of whose features are 0, are not looked at.

    References:
        Lee et al. 2019, Set Transformer, section 3.2 (pooling by multi-head attention), arXiv:1810.00825.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.size = width
        self.norm = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.zeros(1, 1, width))
        self.attention = nn.MultiheadAttention(width, math.gcd(width, _MOST_HEADS), batch_first=True)

    def summarise(self, features: Tensor) -> Tensor:
        """Features (S, n, N, W) to (S, W)."""
        tokens = features.flatten(1, 2)
        silent = (tokens == 0).all(dim=-1)
        tokens = self.norm(tokens)
        query = self.query.expand(len(tokens), -1, -1)
        return self.attention(query, tokens, tokens, key_padding_mask=silent, need_weights=False)[0].squeeze(1)
