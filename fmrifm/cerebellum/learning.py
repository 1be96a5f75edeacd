"""Teach a predictor from its errors: Adam on the next frames of training scans, with early stopping.

Axes: B scans, T frames, P parcels.
"""

import copy

import numpy as np
import torch
from torch import Tensor

from fmrifm.cerebellum.predictors import CerebellarPredictor, Predictor, recent
from fmrifm.cerebellum.references import autoregression, chosen_ridge

_CALIBRATED_ON = 20_000
"""Frames from which thresholds are set."""


def fit(
    predictor: Predictor,
    train: Tensor,
    generator: torch.Generator,
    *,
    epochs: int = 15,
    lr: float = 2e-3,
    batch: int = 2,
    kept: Tensor | None = None,
) -> Predictor:
    """Teach it in place, and return it with the covariance of its innovations.

    A fifth of the scans decides when to stop; the best weights stay. The cerebellum's readout starts from ridge
    regression, the minimum that its delta rule goes to; without recurrence nothing is left to learn.

    Args:
        predictor: What learns.
        train: Training scans, shape (B, T, P).
        generator: Draws the order of scans.
        epochs: Most passes.
        lr: Peak learning rate of Adam.
        batch: Scans a step.
        kept: True where a frame may be a target (not scrubbed), shape (B, T); all by default.
    """
    kept = torch.ones(train.shape[:2], dtype=torch.bool) if kept is None else kept
    if isinstance(predictor, CerebellarPredictor):
        _start_readout(predictor, train, kept)
    if not isinstance(predictor, CerebellarPredictor) or predictor.recurrent:
        _descend(predictor, train, kept, generator, epochs, lr, batch)
    with torch.no_grad():
        error = (train[:, 1:] - predictor(train).mu[:, :-1])[kept[:, 1:]]
        predictor.covariance.copy_(
            torch.from_numpy(np.cov(error.double().numpy().T)).float().reshape(2 * [train.shape[2]])
        )
    return predictor.eval()


def _descend(
    predictor: Predictor, train: Tensor, kept: Tensor, generator: torch.Generator, epochs: int, lr: float, batch: int
) -> None:
    order = torch.randperm(len(train), generator=generator)
    held, learnt = order[: len(train) // 5], order[len(train) // 5 :]
    optimizer = torch.optim.AdamW(predictor.parameters(), lr=lr, weight_decay=0.01)
    steps = epochs * -(-len(learnt) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    best, best_loss = copy.deepcopy(predictor.state_dict()), _held(predictor, train[held], kept[held])
    for _ in range(epochs):
        predictor.train()
        for part in learnt[torch.randperm(len(learnt), generator=generator)].split(batch):
            optimizer.zero_grad()
            loss(predictor, train[part], kept[part]).backward()
            torch.nn.utils.clip_grad_norm_(predictor.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        if (now := _held(predictor, train[held], kept[held])) <= best_loss:
            best, best_loss = copy.deepcopy(predictor.state_dict()), now
    predictor.load_state_dict(best)


def loss(predictor: Predictor, x: Tensor, kept: Tensor) -> Tensor:
    """Mean squared error of the next frame over frames that count."""
    return (x[:, 1:] - predictor(x).mu[:, :-1])[kept[:, 1:]].square().mean()


@torch.no_grad()
def _held(predictor: Predictor, x: Tensor, kept: Tensor) -> float:
    """Loss on the scans that decide when to stop; without any the last weights stay."""
    return float(loss(predictor.eval(), x, kept)) if len(x) else 0.0


@torch.no_grad()
def _start_readout(predictor: CerebellarPredictor, train: Tensor, kept: Tensor) -> None:
    """Thresholds from the drive; then the readout of each parcel's own past, and by ridge regression what all add.

    Penalised from zero, own past and strangers' alike, the readout falls behind autoregression on short real scans.
    """
    own = autoregression(train, predictor.context, kept)
    past = recent(train, predictor.context).flatten(2)
    if predictor.recurrent:
        past = torch.cat([past, torch.zeros_like(train)], dim=-1)
    counts = kept[:, 1:]
    mossy, target = past[:, :-1][counts], (train[:, 1:] - own(train).mu[:, :-1])[counts]
    predictor.granule.calibrate(mossy[:: 1 + len(mossy) // _CALIBRATED_ON])
    held = int(counts[: len(train) // 5].sum())
    fitted = chosen_ridge(predictor.features(mossy).numpy(), target.numpy(), held)
    predictor.readout.weight.copy_(torch.from_numpy(fitted.coef_))
    predictor.readout.weight[:, : own.weight[0].numel()] += own.weight.flatten(1)
    predictor.readout.bias.copy_(torch.from_numpy(np.asarray(fitted.intercept_)) + own.bias)
