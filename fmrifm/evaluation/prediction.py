"""Circuits that predict region means, taught on some subjects and measured against references on others.

Axes: n stretches, T volumes, R regions, U subjects.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from fmrifm.cerebellum.forecast import errors, frame_errors
from fmrifm.cerebellum.learning import fit
from fmrifm.cerebellum.predictors import AttentionPredictor, CerebellarPredictor, Predictor, width_for
from fmrifm.cerebellum.references import Persistence, autoregression, vector_autoregression
from fmrifm.config import Circuit
from fmrifm.evaluation.foresight import RegionForecasts
from fmrifm.evaluation.metrics import skill

_COLUMNS = ["circuit", "reference", "horizon", "skill", "ci_low", "ci_high", "n"]
HORIZONS = (1, 2, 3)
"""Volumes ahead: beyond some ten seconds point forecasts of BOLD are worth nothing."""


def build(circuit: Circuit, regions: int, lags: int, granule: int, seed: int) -> Predictor:
    """An untaught circuit; all have about as many trainable numbers as the feed-forward cerebellum."""
    generator = torch.Generator().manual_seed(seed)
    cerebellum = CerebellarPredictor(regions, lags, granule, recurrent=circuit == "recurrent", generator=generator)
    if circuit != "attention":
        return cerebellum
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AttentionPredictor(regions, width_for(regions, cerebellum.trainable), context=lags)


def teach(predictor: Predictor, train: Tensor, context: int, epochs: int, seed: int) -> Predictor:
    """Teach it in place on stretches (n, T, R), whose first `context` volumes are no targets; return it."""
    kept = torch.ones(train.shape[:2], dtype=torch.bool)
    kept[:, :context] = False
    # The recurrent readout starts from ridge regression and goes on by small steps.
    slow = {"lr": 1e-4, "batch": 8} if isinstance(predictor, CerebellarPredictor) else {}
    return fit(predictor, train, torch.Generator().manual_seed(seed), epochs=epochs, kept=kept, **slow)  # type: ignore[arg-type]


def references(train: Tensor, context: int, lags: int) -> dict[str, Predictor]:
    """What a circuit has to beat, taught on the volumes after the context."""
    targets = train[:, context - lags :]
    return {
        "persistence": Persistence(train.shape[2]),
        "ar": autoregression(targets, lags),
        "var": vector_autoregression(targets, lags),
    }


def skill_table(
    circuits: Mapping[str, Predictor], rivals: Mapping[str, Predictor], test: Tensor,
    subject: Sequence[str] | NDArray[Any], context: int, resamples: int, rng: np.random.Generator,
) -> pd.DataFrame:  # fmt: skip
    """Skill of each circuit and reference over each reference at each horizon, with intervals over subjects.

    Args:
        circuits: By name.
        rivals: The references.
        test: Stretches of held-out subjects, shape (n, T, R).
        subject: Of each stretch.
        context: Volumes that no prediction is of.
        resamples: Bootstrap draws of subjects.
        rng: Source of randomness.

    Returns:
        circuit, reference, horizon, skill, ci_low, ci_high, n (subjects); skill is 1 - error / error of the reference.
    """
    rows = []
    models = {**circuits, **rivals}
    for horizon in HORIZONS:
        error = {name: _by_subject(errors(model, test, horizon, context), subject) for name, model in models.items()}
        for name in models:
            others = {rival: error[rival] for rival in rivals if rival != name}
            rows += _rows(name, error[name], others, horizon, resamples, rng)
    return pd.DataFrame(rows, columns=_COLUMNS)


def forecast_table(
    forecasts: RegionForecasts, rivals: Mapping[str, Predictor], test: Tensor,
    subject: Sequence[str] | NDArray[Any], context: int, resamples: int, rng: np.random.Generator,
) -> pd.DataFrame:  # fmt: skip
    """The same of a pretrained model's forecasts, over the references on the same volumes."""
    rows = []
    for horizon in range(1, forecasts.x.shape[2] + 1):
        actual = test[:, forecasts.origin + horizon]
        ours = (forecasts.x[:, :, horizon - 1] - actual).square().mean(dim=(1, 2))
        others = {
            name: _by_subject(
                frame_errors(model, test, horizon, context)[:, forecasts.origin - (context - 1)].mean(dim=1), subject
            )
            for name, model in rivals.items()
        }
        rows += _rows("pretrained", _by_subject(ours, subject), others, horizon, resamples, rng)
    return pd.DataFrame(rows, columns=_COLUMNS)


def _rows(
    name: str, error: NDArray[np.float64], others: Mapping[str, NDArray[np.float64]], horizon: int, resamples: int,
    rng: np.random.Generator,
) -> list[list[Any]]:  # fmt: skip
    scores = {rival: skill(error, theirs, resamples, rng) for rival, theirs in others.items()}
    return [
        [name, rival, horizon, score.value, score.ci_low, score.ci_high, score.n] for rival, score in scores.items()
    ]


def _by_subject(error: Tensor, subject: Sequence[str] | NDArray[Any]) -> NDArray[np.float64]:
    """Mean error of each subject's stretches, shape (U,)."""
    return pd.Series(error.double().numpy()).groupby(list(subject)).mean().to_numpy()
