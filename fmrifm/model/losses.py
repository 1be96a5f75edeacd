"""Losses of masked reconstruction, and their weighted sum.

Windows may be dealt to several processes: each then computes its share of a mean over the windows of all, and the
shares add up to the mean. `total` adds a count up over the processes.

Axes: B windows, Q predicted tokens, P voxels of a chunk (padded), p volumes of a patch, T time patches,
R regions, L = T * p volumes of a window.
"""

from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import Tensor

from fmrifm.config import LossConfig
from fmrifm.model.explained import by_region, region_means
from fmrifm.model.mae import Reconstruction
from fmrifm.model.tokens import Tokenizer

_FEWEST_VOLUMES = 3
"""Over two volumes every correlation is 1 or -1."""
_CONSTANT = 1e-6
"""A region mean whose variance over time is less (in z units squared) is constant: it correlates with nothing."""

Total = Callable[[Tensor], Tensor]


def alone(count: Tensor) -> Tensor:
    """The total of a count where there is one process."""
    return count


def reconstruction_loss(
    reconstruction: Reconstruction, tokenizer: Tokenizer, weights: LossConfig, total: Total = alone
) -> tuple[Tensor, dict[str, Tensor]]:
    """Add the losses up by weight; one of weight 0 is not computed.

    Args:
        reconstruction: Predicted and true tokens of this process.
        tokenizer: Where they lie.
        weights: Weights of the losses.
        total: Adds a count up over all processes.

    Returns:
        The weighted sum, and the losses in it by name, unweighted.
    """
    losses = {"voxel": voxel_mse, "region": region_mse, "connectivity": connectivity_mse}
    chosen = {name: weight for name, weight in asdict(weights).items() if weight > 0}
    parts = {name: losses[name](reconstruction, tokenizer, total) for name in chosen}
    return torch.stack([weight * parts[name] for name, weight in chosen.items()]).sum(), parts


def voxel_mse(reconstruction: Reconstruction, tokenizer: Tokenizer, total: Total = alone) -> Tensor:
    """Mean squared error in which every predicted voxel weighs the same (`masked_mse`)."""
    return masked_mse(reconstruction.prediction, reconstruction.target, reconstruction.weight, total)


def masked_mse(prediction: Tensor, target: Tensor, weight: Tensor, total: Total = alone) -> Tensor:
    """Average the squared error over the voxels of hidden tokens.

    Args:
        prediction: Reconstructed tokens, shape (B, Q, P, p), in z-scored BOLD (no unit).
        target: True tokens, same shape and scale.
        weight: True where a voxel counts (in the chunk and covered by the scan), shape (B, Q, P), at least one True.
        total: Adds a count up over all processes.

    Returns:
        Scalar; every voxel that counts weighs the same, whichever chunk or window it is from.

    Raises:
        ValueError: The three shapes do not agree.

    References:
        He et al. 2022, section 3 (loss on masked patches only), arXiv:2111.06377.
    """
    if prediction.shape != target.shape or weight.shape != target.shape[:3]:
        raise ValueError(
            f"masked_mse: prediction {tuple(prediction.shape)}, target {tuple(target.shape)} "
            f"and weight {tuple(weight.shape)} disagree."
        )
    error_BQP = (prediction - target).square().mean(dim=-1)
    return (error_BQP * weight).sum() / total(weight.sum())


def region_mse(reconstruction: Reconstruction, tokenizer: Tokenizer, total: Total = alone) -> Tensor:
    """Mean squared error in which every region weighs the same, whatever its voxel count.

    Returns:
        Scalar: the mean squared error of each region's predicted voxels over the whole batch, averaged over
        the regions that have any.
    """
    prediction, target, weight, token = reconstruction
    error_BQP = (prediction - target).square().mean(dim=-1) * weight
    error_R, voxels_R = (
        by_region(values, token, tokenizer).sum(dim=(0, 1)) for values in (error_BQP, weight.to(error_BQP))
    )
    voxels_R = total(voxels_R)
    return (error_R / voxels_R.clamp(min=1)).sum() / (voxels_R > 0).sum()


def connectivity_mse(reconstruction: Reconstruction, tokenizer: Tokenizer, total: Total = alone) -> Tensor:
    """Mean squared difference between the region-by-region correlations of reconstruction and scan.

    A region's time course is its mean over the predicted voxels, the same voxels on both sides. Two regions
    are correlated over the volumes of those time patches in which both have a predicted voxel. A pair counts
    where these are at least three volumes and the scan's own time courses are not constant over them; a
    constant reconstruction correlates at 0.

    Returns:
        Scalar, between 0 and 4: the mean over the pairs of all windows that count, 0 where none does.
    """
    means = region_means(reconstruction, tokenizer)
    counted_BTRp = (means.voxels > 0)[..., None].expand_as(means.target)
    predicted, true, counted = (
        values.transpose(1, 2).flatten(2).float() for values in (means.prediction, means.target, counted_BTRp)
    )
    with torch.autocast(counted.device.type, enabled=False):  # small differences of large sums
        volumes_BRR = counted @ counted.mT
        correlation, _ = _pairwise_correlation(predicted, counted, volumes_BRR)
        expected, variance = _pairwise_correlation(true, counted, volumes_BRR)
    varies = variance > _CONSTANT
    pairs = (varies & varies.mT & (volumes_BRR >= _FEWEST_VOLUMES)).triu(diagonal=1)
    return ((correlation - expected).square() * pairs).sum() / total(pairs.sum()).clamp(min=1)


def _pairwise_correlation(series: Tensor, counted: Tensor, volumes: Tensor) -> tuple[Tensor, Tensor]:
    """Correlate each pair of regions over the volumes that both have.

    Args:
        series: Time courses, shape (B, R, L).
        counted: 1 where a region has the volume, 0 elsewhere, same shape.
        volumes: Volumes that two regions share, shape (B, R, R).

    Returns:
        Correlations, and at (i, j) the variance of region i over the volumes that it shares with j.
    """
    shared = volumes.clamp(min=1)
    own_mean = (series * counted).sum(dim=-1, keepdim=True) / counted.sum(dim=-1, keepdim=True).clamp(min=1)
    series = (series - own_mean) * counted
    mean = series @ counted.mT / shared
    variance = (series.square() @ counted.mT / shared - mean.square()).clamp(min=0)
    covariance = series @ series.mT / shared - mean * mean.mT
    return covariance / ((variance + _CONSTANT) * (variance.mT + _CONSTANT)).sqrt(), variance
