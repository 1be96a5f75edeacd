"""What a predictor is worth, and what it can make: skill at several horizons, and stochastic rollouts.

Axes: B scans, T frames, P parcels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fmrifm.cerebellum.predictors import Predictor


@torch.no_grad()
def ahead(predictor: Predictor, x: Tensor, horizon: int, memory: int = 32) -> tuple[Tensor, Tensor]:
    """Predict so many frames ahead by predicting on from predictions.

    Args:
        predictor: What predicts.
        x: Scans, shape (B, T, P).
        horizon: Frames ahead, from 1.
        memory: Frames that each prediction is given, at least the predictor's context.

    Returns:
        Predictions and the frames that they are of, both (B, T - memory - horizon + 1, P).
    """
    memory = max(memory, predictor.context)
    windows = x.unfold(1, memory, 1).transpose(2, 3)[:, : x.shape[1] - memory - horizon + 1]
    shape, given = windows.shape[:2], windows.flatten(0, 1)
    for _ in range(horizon):
        given = torch.cat([given[:, 1:], predictor(given).mu[:, -1:]], dim=1)
    return given[:, -1].unflatten(0, shape), x[:, memory + horizon - 1 :]


def errors(predictor: Predictor, x: Tensor, horizon: int, memory: int = 32) -> Tensor:
    """Mean squared error of each scan at a horizon, shape (B,)."""
    return frame_errors(predictor, x, horizon, memory).mean(dim=1)


def frame_errors(predictor: Predictor, x: Tensor, horizon: int, memory: int = 32) -> Tensor:
    """Mean squared error of each frame that `ahead` predicts, shape (B, T - memory - horizon + 1)."""
    predicted, actual = ahead(predictor, x, horizon, memory)
    return (predicted - actual).square().mean(dim=2)


def skill(
    predictor: Predictor, x: Tensor, reference: Predictor, horizons: Sequence[int] = (1, 2, 3), memory: int = 32
) -> dict[int, float]:
    """1 - (mean squared error) / (that of a reference), by horizon in frames; above 0 it beats the reference."""
    return {
        horizon: 1 - float(errors(predictor, x, horizon, memory).mean() / errors(reference, x, horizon, memory).mean())
        for horizon in horizons
    }


def explained(predictor: Predictor, x: Tensor, horizon: int = 1, memory: int = 32) -> float:
    """R2 at a horizon, against predicting 0, the mean of z-scored frames."""
    predicted, actual = ahead(predictor, x, horizon, memory)
    return 1 - float((predicted - actual).square().mean() / actual.square().mean())


@torch.no_grad()
def rollout(
    predictor: Predictor, context: Tensor, frames: int, *, noise: bool, generator: torch.Generator | None = None
) -> Tensor:
    """Go on from a context by feeding predictions back.

    Args:
        predictor: What predicts.
        context: Frames to begin with, shape (B, T, P).
        frames: How many to make.
        noise: Add innovations of the covariance that training left. Without them a rollout decays to the mean.
        generator: Draws them.

    Returns:
        The frames that follow, shape (B, frames, P).
    """
    root = torch.linalg.cholesky(predictor.covariance.double() + 1e-6 * torch.eye(predictor.parcels)).float()
    given, made = context, []
    for _ in range(frames):
        new = predictor(given).mu[:, -1]
        if noise:
            new = new + torch.randn(new.shape, generator=generator) @ root.T
        given = torch.cat([given, new[:, None]], dim=1)[:, -max(context.shape[1], predictor.context) :]
        made.append(new)
    return torch.stack(made, dim=1)
