"""Surprise: how far each parcel's frame was from what was expected, in innovation variances, without motion.

Axes: B scans, T frames, P parcels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fmrifm.cerebellum.predictors import Predictor

_STILL = 0.1
"""Share of frames that count as still; without motion at all would lie outside what was seen where DVARS is taken."""


@torch.no_grad()
def surprise(predictor: Predictor, x: Tensor) -> Tensor:
    """Squared error of each frame from the second on over its innovation variance: (B, T, P) to (B, T - 1, P)."""
    return (x[:, 1:] - predictor(x).mu[:, :-1]).square() / predictor.covariance.diagonal()


def without_motion(surprise_TP: NDArray[np.floating], motion_T: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean surprise of each parcel in a still frame, shape (P,).

    Args:
        surprise_TP: Of one scan, shape (T, P).
        motion_T: How far the head moved at each frame (framewise displacement, or DVARS), shape (T,); what is unknown
            (NaN) is left out.

    Returns:
        Each parcel's regression on motion, read where a tenth of the frames are as still; the mean where nothing moves.
    """
    known = np.isfinite(motion_T)
    values, motion = surprise_TP[known].astype(np.float64), np.abs(motion_T[known]).astype(np.float64)
    centred = motion - motion.mean()
    if not centred.any():
        return np.asarray(values.mean(axis=0))
    slope = centred @ values / (centred @ centred)
    return np.asarray(values.mean(axis=0) + slope * (np.quantile(motion, _STILL) - motion.mean()))
