"""What a fold has to choose, chosen on folds inside its training subjects: penalty and threshold.

Axes: S scans, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from fmrifm.config import ReadoutConfig
from fmrifm.evaluation.probe import class_probability, regression, rotation
from fmrifm.evaluation.splits import Fold, FoldFeatures, inner_folds, sides


@dataclass(frozen=True)
class Choice:
    """What a linear classifier is fitted and used with."""

    penalty: float
    threshold: float = 0.5


def choose(features: FoldFeatures, scans: pd.DataFrame, fold: Fold, config: ReadoutConfig) -> Choice:
    """Choose among the penalties, and where to draw the line, by what inner folds predict.

    Args:
        features: Of the scans, for any part of them to learn from.
        scans: Labelled scans with subject, site and label.
        fold: Whose training subjects are used, and nobody else.
        config: Penalties, kind of threshold, number of inner folds.
    """
    if len(config.penalty) == 1 and config.threshold == "half":
        return Choice(config.penalty[0])
    label = scans["label"].to_numpy(np.int64)
    tested, predicted = [], []
    for inner in inner_folds(scans, fold, config.inner_folds, config.seed):
        train, test = sides(scans, inner)
        tested.append(label[test])
        predicted.append(_predictions(*features(train, test), label[train], config.penalty))
    aucs = [np.mean([_auc(y, p[number]) for y, p in zip(tested, predicted, strict=True)]) for number in
            range(len(config.penalty))]  # fmt: skip
    # Of equals the strongest.
    best = max(range(len(aucs)), key=lambda number: (round(aucs[number], 6), config.penalty[number]))
    chosen = np.concatenate([of_fold[best] for of_fold in predicted])
    return Choice(
        config.penalty[best], threshold(np.concatenate(tested), chosen) if config.threshold == "inner" else 0.5
    )


def threshold(label: NDArray[np.int64], probability: NDArray[np.floating]) -> float:
    """Where sensitivity plus specificity is largest, midway between two predictions; one half for many classes."""
    if probability.ndim > 1:
        return 0.5
    false, true, cuts = roc_curve(label, probability, drop_intermediate=False)
    best = int(np.argmax(true - false))
    below = probability[probability < cuts[best]]
    return float(np.clip((cuts[best] + below.max()) / 2 if len(below) else 0.0, 0, 1))


def _predictions(
    train: NDArray[np.floating], test: NDArray[np.floating], label: NDArray[np.int64], penalties: Sequence[float]
) -> list[NDArray[np.float64]]:
    """Probabilities of label 1, or of each of many, for every penalty; the rotation is the same for all."""
    turned = rotation().fit(train.astype(np.float64))
    known, asked = turned.transform(train), turned.transform(test)
    models: list[Any] = [regression(train.shape[1], penalty).fit(known, label) for penalty in penalties]
    return [class_probability(model, asked, int(label.max()) + 1) for model in models]


def _auc(label: NDArray[np.int64], probability: NDArray[np.float64]) -> float:
    return float(roc_auc_score(label, probability, multi_class="ovr"))
