"""Losses of masked reconstruction.

Axes: B windows, Q predicted tokens, P voxels of a chunk (padded), p volumes of a patch.
"""

from torch import Tensor


def masked_mse(prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Average the squared error over the voxels of hidden tokens.

    Args:
        prediction: Reconstructed tokens, shape (B, Q, P, p), in z-scored BOLD (no unit).
        target: True tokens, same shape and scale.
        weight: True where a voxel counts (in the chunk and covered by the scan), shape (B, Q, P), at least one True.

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
    return (error_BQP * weight).sum() / weight.sum()
