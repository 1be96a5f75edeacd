"""Surprise: how far each parcel's frame was from what was expected, in innovation variances, without motion.

Axes: B scans, T frames, P parcels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fmrifm.cerebellum.predictors import Predictor


@torch.no_grad()
def surprise(predictor: Predictor, x: Tensor) -> Tensor:
    """Squared error of each frame from the second on over its innovation variance: (B, T, P) to (B, T - 1, P)."""
    return (x[:, 1:] - predictor(x).mu[:, :-1]).square() / predictor.covariance.diagonal()


def without_motion(surprise_TP: NDArray[np.floating], displacement_T: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean surprise of each parcel in a frame without motion, shape (P,).

    Args:
        surprise_TP: Of one scan, shape (T, P).
        displacement_T: Framewise displacement in mm, shape (T,); what is unknown (NaN) is left out.

    Returns:
        The intercept of each parcel's regression on |displacement|; the plain mean where nothing moves.
    """
    known = np.isfinite(displacement_T)
    values, motion = surprise_TP[known].astype(np.float64), np.abs(displacement_T[known]).astype(np.float64)
    centred = motion - motion.mean()
    if not centred.any():
        return np.asarray(values.mean(axis=0))
    slope = centred @ values / (centred @ centred)
    return np.asarray(values.mean(axis=0) - slope * motion.mean())
