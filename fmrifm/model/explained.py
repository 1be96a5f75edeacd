"""How well hidden tokens are predicted: squares left and squares to explain, by window and region.

R2 = 1 - left / total against the trivial predictor, the temporal mean (0 after the z-score).
Voxels carry noise that nobody can predict, so the same is counted for region means. A voxel counts
with its own region, also where a token holds several.

Axes: B windows, Q predicted tokens, P voxels of a chunk, p volumes of a patch, T time patches, R regions.
"""

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
        by_region((values * counted).square().sum(dim=3), token, tokenizer).sum(dim=1)
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
    voxels = by_region(weight.to(target.dtype), token, tokenizer)
    mean_prediction, mean_target = (
        by_region(values * weight[..., None], token, tokenizer) / voxels.clamp(min=1)[..., None]
        for values in (prediction, target)
    )
    return RegionMeans(mean_prediction, mean_target, voxels)


def by_region(values: Tensor, token: Tensor, tokenizer: Tokenizer) -> Tensor:
    """Add voxels up by window, time patch and region: values (B, Q, P, ...) of tokens (B, Q) to (B, T, R, ...)."""
    chunks, regions = len(tokenizer.voxel), tokenizer.regions
    time = torch.arange(len(token), device=token.device)[:, None] * tokenizer.patches + token // chunks
    cell = time[..., None] * (regions + 1) + tokenizer.region_of_place[token % chunks]
    summed = values.new_zeros(len(token) * tokenizer.patches * (regions + 1), *values.shape[3:])
    summed.index_add_(0, cell.flatten(), values.flatten(0, 2))  # what is padded goes to a region more
    return summed.view(len(token), tokenizer.patches, regions + 1, *values.shape[3:])[:, :, :regions]
