"""Scores of a binary prediction, each with an interval from resampled subjects.

Axes: S subjects.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

_LEVEL = 0.95


@dataclass(frozen=True)
class Score:
    """A value with its 95 % interval over subjects."""

    value: float
    ci_low: float
    ci_high: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """As metrics.json holds it; an undefined figure is null."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


def bootstrap(
    statistic: Callable[[NDArray[np.intp]], float], n: int, resamples: int, rng: np.random.Generator
) -> Score:
    """Score a statistic with its percentile interval.

    Args:
        statistic: Function of the positions of the drawn subjects; NaN where it is undefined for a draw.
        n: Subjects.
        resamples: Draws with replacement.
        rng: Source of randomness.
    """
    drawn = np.array([statistic(rng.integers(n, size=n)) for _ in range(resamples)])
    defined = drawn[~np.isnan(drawn)]
    edges = (1 - _LEVEL) / 2, (1 + _LEVEL) / 2
    low, high = np.quantile(defined, edges) if len(defined) else (np.nan, np.nan)
    return Score(float(statistic(np.arange(n))), float(low), float(high), n)


def auc_within_folds(label: NDArray[np.int64], score: NDArray[np.float64], fold: NDArray[np.int64]) -> float:
    """Share of case-control pairs of the same fold that are in the right order; ties count half.

    Pairs across folds are left out: each fold has its own model, and their scales need not agree.
    With one fold this is the ordinary AUC. NaN where no fold has both classes.
    """
    right = pairs = 0.0
    for number in np.unique(fold):
        here, truth = score[fold == number], label[fold == number]
        cases = int(truth.sum())
        right += rankdata(here)[truth == 1].sum() - cases * (cases + 1) / 2
        pairs += cases * (len(truth) - cases)
    return right / pairs if pairs else float("nan")


def classification_scores(predictions: pd.DataFrame, resamples: int, rng: np.random.Generator) -> dict[str, Score]:
    """Score held-out predictions.

    Args:
        predictions: One row a subject: label (0 or 1), probability of 1, fold.
        resamples: Bootstrap draws over subjects.
        rng: Source of randomness.

    Returns:
        balanced_accuracy, auc (within folds), sensitivity and specificity, at a threshold of one half.
    """
    label = predictions["label"].to_numpy(np.int64)
    probability = predictions["probability"].to_numpy(float)
    fold = predictions["fold"].to_numpy(np.int64)
    right = (probability >= 0.5) == (label == 1)

    def rate(positive: int) -> Callable[[NDArray[np.intp]], float]:
        def share(rows: NDArray[np.intp]) -> float:
            chosen = rows[label[rows] == positive]
            return float(right[chosen].mean()) if len(chosen) else float("nan")

        return share

    sensitivity, specificity = rate(1), rate(0)
    statistics: dict[str, Callable[[NDArray[np.intp]], float]] = {
        "balanced_accuracy": lambda rows: (sensitivity(rows) + specificity(rows)) / 2,
        "auc": lambda rows: auc_within_folds(label[rows], probability[rows], fold[rows]),
        "sensitivity": sensitivity,
        "specificity": specificity,
    }
    return {name: bootstrap(statistic, len(label), resamples, rng) for name, statistic in statistics.items()}


def by_subject(predictions: pd.DataFrame) -> pd.DataFrame:
    """Average a subject's scans into one row: subject, fold, label, site (that of the first scan), probability."""
    grouped = predictions.groupby(["subject", "fold", "label"], as_index=False, sort=True)
    return grouped.agg({"site": "first", "probability": "mean"})
