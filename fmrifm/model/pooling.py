"""Pooling: token features of all windows of a scan become one vector.

Second-order pooling keeps what a connectome sees: the region-by-region correlation of token
features, summed over every window and normalised once. Mean pooling throws it away (prototypes:
AUC .69 against .60), and stays as a choice to compare with.

Axes: S scans, n windows of a scan, N = T * K tokens, W width, R regions, E = R * (R - 1) / 2 edges.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from fmrifm.model.tokens import Tokenizer

_LARGEST_CORRELATION = 0.999
"""Correlations are clipped here before Fisher's z, which is infinite at 1."""


class Pooling(nn.Module):
    """Turns token features (S, n, N, W) into one vector a scan, shape (S, size)."""

    size: int


class ConnectivityPooling(Pooling):
    """Fisher-z correlation between regions of their mean token features, over channels, patches and windows.

    A region without signal correlates with nothing: its edges are 0.
    """

    share: Tensor

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        regions = tokenizer.regions
        voxels = tokenizer.valid.sum(dim=1).float()
        share = torch.zeros(regions, len(voxels)).index_put((tokenizer.region, torch.arange(len(voxels))), voxels)
        self.register_buffer("share", share / share.sum(dim=1, keepdim=True), persistent=False)
        self.size = regions * (regions - 1) // 2

    def forward(self, features: Tensor) -> Tensor:
        """Features (S, n, N, W) to edges (S, E)."""
        chunks = features.unflatten(2, (-1, self.share.shape[1]))
        region = torch.einsum("rk,sntkw->srntw", self.share, chunks).flatten(2)
        region = torch.nn.functional.normalize(region, dim=-1)
        correlation = region @ region.mT
        regions = correlation.shape[1]
        row, column = torch.triu_indices(regions, regions, offset=1, device=features.device)
        return torch.atanh(correlation[:, row, column].clamp(-_LARGEST_CORRELATION, _LARGEST_CORRELATION))


class MeanPooling(Pooling):
    """Mean of the token features over windows and tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.size = width

    def forward(self, features: Tensor) -> Tensor:
        """Features (S, n, N, W) to (S, W)."""
        return features.mean(dim=(1, 2))


def build_pooling(kind: Literal["connectivity", "mean"], tokenizer: Tokenizer, width: int) -> Pooling:
    """Return the pooling of that name."""
    return ConnectivityPooling(tokenizer) if kind == "connectivity" else MeanPooling(width)
