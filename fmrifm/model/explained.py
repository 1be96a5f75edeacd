"""How well hidden tokens are predicted: squares left and squares to explain, by window and region.

R2 = 1 - left / total against the trivial predictor, the temporal mean (0 after the z-score).
Voxels carry noise that nobody can predict, so the same is counted for region means.

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


def squares(reconstruction: Reconstruction, tokenizer: Tokenizer) -> Squares:
    """Sum squared errors and squared targets over predicted voxels, and over their mean in each region."""
    prediction, target, weight, token = reconstruction
    chunks = len(tokenizer.region)
    regions = tokenizer.regions
    batch = len(token)
    window = torch.arange(batch, device=token.device)[:, None]
    cell = ((window * tokenizer.patches + token // chunks) * regions + tokenizer.region[token % chunks]).flatten()
    cells = batch * tokenizer.patches * regions

    def gather(values: Tensor) -> Tensor:
        """Add tokens up by window, time patch and region: (B, Q, ...) to (B, T, R, ...)."""
        summed = values.new_zeros(cells, *values.shape[2:]).index_add(0, cell, values.flatten(0, 1))
        return summed.view(batch, tokenizer.patches, regions, *values.shape[2:])

    counted = weight[..., None]
    error = (prediction - target) * counted
    voxels = gather(weight.sum(dim=2).to(error.dtype)).clamp(min=1)[..., None]
    mean_error, mean_target = gather(error.sum(dim=2)) / voxels, gather((target * counted).sum(dim=2)) / voxels
    return Squares(
        voxel_left=gather(error.square().sum(dim=(2, 3))).sum(dim=1),
        voxel_total=gather((target * counted).square().sum(dim=(2, 3))).sum(dim=1),
        region_left=mean_error.square().sum(dim=-1).sum(dim=1),
        region_total=mean_target.square().sum(dim=-1).sum(dim=1),
    )
