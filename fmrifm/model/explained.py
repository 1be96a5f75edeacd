"""How well hidden tokens are predicted: squares left and squares to explain, by window and region.

R2 = 1 - left / total against the trivial predictor, the temporal mean (0 after the z-score).
Voxels carry noise that nobody can predict, so the same is counted for region means.

Axes: B windows, Q predicted tokens, P voxels of a chunk, p volumes of a patch, T time patches, R regions.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from fmrifm.model.mae import Reconstruction
from fmrifm.model.tokens import Tokenizer


class Squares(NamedTuple):
    """Sums of squares, each of shape (B, R); regions without a predicted voxel hold 0."""

    voxel_left: Tensor
    voxel_total: Tensor
    region_left: Tensor
    region_total: Tensor


class RegionMeans(NamedTuple):
    """Means over the predicted voxels of each region, the same voxels on both sides."""

    prediction: Tensor
    """Shape (B, T, R, p); 0 where nothing was predicted."""
    target: Tensor
    """Same shape."""
    voxels: Tensor
    """Predicted voxels, shape (B, T, R)."""


def squares(reconstruction: Reconstruction, tokenizer: Tokenizer) -> Squares:
    """Sum squared errors and squared targets over predicted voxels, and over their mean in each region."""
    prediction, target, weight, token = reconstruction
    counted = weight[..., None]
    left, total = (
        by_region((values * counted).square().sum(dim=(2, 3)), token, tokenizer).sum(dim=1)
        for values in (prediction - target, target)
    )
    means = region_means(reconstruction, tokenizer)
    return Squares(
        voxel_left=left,
        voxel_total=total,
        region_left=(means.prediction - means.target).square().sum(dim=(1, 3)),
        region_total=means.target.square().sum(dim=(1, 3)),
    )


def region_means(reconstruction: Reconstruction, tokenizer: Tokenizer) -> RegionMeans:
    """Average prediction and target over the predicted voxels of each window, time patch and region."""
    prediction, target, weight, token = reconstruction
    voxels = by_region(weight.sum(dim=2).to(target.dtype), token, tokenizer)
    mean_prediction, mean_target = (
        by_region((values * weight[..., None]).sum(dim=2), token, tokenizer) / voxels.clamp(min=1)[..., None]
        for values in (prediction, target)
    )
    return RegionMeans(mean_prediction, mean_target, voxels)


def by_region(values: Tensor, token: Tensor, tokenizer: Tokenizer) -> Tensor:
    """Add tokens up by window, time patch and region: values (B, Q, ...) of tokens (B, Q) to (B, T, R, ...)."""
    chunks = len(tokenizer.region)
    cells = len(token), tokenizer.patches, tokenizer.regions
    window = torch.arange(len(token), device=token.device)[:, None]
    cell = (window * tokenizer.patches + token // chunks) * tokenizer.regions + tokenizer.region[token % chunks]
    summed = values.new_zeros(math.prod(cells), *values.shape[2:]).index_add(0, cell.flatten(), values.flatten(0, 1))
    return summed.view(*cells, *values.shape[2:])
