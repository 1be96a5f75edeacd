"""Scores of held-out predictions, each with an interval from resampled subjects.

A statistic is a function of weights: how often each subject was drawn in each resample. So all
resamples are one call, and two models are compared on the same draws.

Axes: N rows of a table, S subjects, B resamples.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import nan
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_LEVEL = 0.95
_CELLS = 2**18
"""Weights that are drawn at once; a statistic takes some ten times as much memory."""

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Weights of subjects (B, S) to values (B,); NaN where the statistic is undefined for a draw."""


@dataclass(frozen=True)
class Score:
    """A value with its 95 % interval over subjects."""

    value: float
    ci_low: float
    ci_high: float
    n: int
    p: float = nan
    """Of a permutation test; NaN where there was none."""

    def to_json(self) -> dict[str, Any]:
        """As metrics.json holds it: an undefined figure is null, `p` is there where it was tested."""
        fields = {name: none_if_nan(value) for name, value in asdict(self).items()}
        return {name: value for name, value in fields.items() if name != "p" or value is not None}


def none_if_nan(value: float) -> float | None:
    """A figure as JSON holds it."""
    return None if value != value else value


def bootstrap(statistic: Statistic, n: int, resamples: int, rng: np.random.Generator) -> Score:
    """Score a statistic with its percentile interval; draws for which it is undefined are left out.

    Args:
        statistic: Function of the weights of the subjects.
        n: Subjects.
        resamples: Draws with replacement.
        rng: Source of randomness.
    """
    drawn = np.concatenate([statistic(weights) for weights in _draws(n, resamples, rng)])
    defined = drawn[~np.isnan(drawn)]
    edges = (1 - _LEVEL) / 2, (1 + _LEVEL) / 2
    low, high = np.quantile(defined, edges) if len(defined) else (nan, nan)
    return Score(_value(statistic, n), float(low), float(high), n)


def skill(ours: NDArray[np.floating], theirs: NDArray[np.floating], resamples: int, rng: np.random.Generator) -> Score:
    """1 - error / error of a reference, from the errors of each subject, both (S,); R2 where that is the mean."""
    # Contiguous, so that sums do not depend on where the columns came from.
    ours, theirs = np.ascontiguousarray(ours), np.ascontiguousarray(theirs)
    return bootstrap(lambda drawn: 1 - (drawn @ ours) / (drawn @ theirs), len(ours), resamples, rng)


def summed_by_subject(values: NDArray[np.floating], subjects: NDArray[np.str_]) -> NDArray[np.floating]:
    """Sums over the scans of each subject, in the order of their names: (scans, ...) to (S, ...)."""
    return np.stack([values[subjects == subject].sum(axis=0) for subject in np.unique(subjects)])


def classification_scores(predictions: pd.DataFrame, resamples: int, rng: np.random.Generator) -> dict[str, Score]:
    """Score held-out predictions, in reading order.

    Args:
        predictions: As `by_subject` gives them. What is resampled is the subject, with all its rows.
        resamples: Bootstrap draws over subjects.
        rng: Source of randomness.
    """
    n = predictions["subject"].nunique()
    statistics = metric_statistics(predictions)
    return {name: bootstrap(statistic, n, resamples, rng) for name, statistic in statistics.items()}


def fold_scores(predictions: pd.DataFrame) -> pd.DataFrame:
    """Metrics of each fold by itself: one row a fold, in the order of their numbers; NaN where undefined."""
    rows = {
        number: {name: _value(statistic, len(part)) for name, statistic in metric_statistics(part).items()}
        for number, part in predictions.groupby("fold")
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def metric_statistics(predictions: pd.DataFrame) -> dict[str, Statistic]:
    """Every metric of a table as a function of the weights of its subjects, who are sorted by name.

    auc and average_precision compare rows of the same fold only: each fold has its own model, and their scales
    need not agree. With more than two classes they are those of one class against the rest, averaged; as in
    balanced_accuracy, a class that is not there is left out of the average.

    Args:
        predictions: As `by_subject` gives them.

    Returns:
        auc, balanced_accuracy, average_precision, with two classes sensitivity and specificity, and brier.
    """
    unit = np.unique(predictions["subject"], return_inverse=True)[1]
    label, fold = (predictions[name].to_numpy(np.int64) for name in ("label", "fold"))
    probability = class_probabilities(predictions)
    right = _called(predictions) == label
    classes = range(probability.shape[1])
    recalls = [mean_statistic(right[label == c], unit[label == c], unit.max() + 1) for c in classes]
    ranked = classes if len(classes) > 2 else [1]
    aucs = [auc_statistic(label == c, probability[:, c], fold, unit) for c in ranked]
    precisions = [precision_statistic(label == c, probability[:, c], fold, unit) for c in ranked]
    squares = np.square(probability - np.eye(len(classes))[label]).sum(axis=1)
    return {
        "auc": macro_statistic(aucs),
        "balanced_accuracy": macro_statistic(recalls),
        "average_precision": macro_statistic(precisions),
        **({} if len(classes) > 2 else {"sensitivity": recalls[1], "specificity": recalls[0]}),
        "brier": mean_statistic(squares if len(classes) > 2 else squares / 2, unit, unit.max() + 1),
    }


def auc_statistic(
    case: NDArray[np.bool_], score: NDArray[np.floating], fold: NDArray[np.int64], unit: NDArray[np.intp]
) -> Statistic:
    """Share of case-control pairs of the same fold that are in the right order; ties count half.

    With one fold this is the ordinary AUC. Undefined where no fold has both.

    Args:
        case: True for a case, shape (N,).
        score: Higher for cases, shape (N,).
        fold: Fold of each row.
        unit: Place of each row's subject among the weights.
    """
    parts = []
    for number in np.unique(fold):
        cases, controls = (np.flatnonzero((fold == number) & (case == side)) for side in (True, False))
        above, below = score[cases, None], score[controls]
        parts.append((unit[cases], unit[controls], (above > below) + 0.5 * (above == below)))

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        right, pairs = np.zeros((2, len(weights)))
        for cases, controls, order in parts:
            of_cases, of_controls = weights[:, cases], weights[:, controls]
            right += np.einsum("bk,bk->b", of_cases @ order, of_controls)
            pairs += of_cases.sum(axis=1) * of_controls.sum(axis=1)
        return _ratio(right, pairs)

    return statistic


def precision_statistic(
    case: NDArray[np.bool_], score: NDArray[np.floating], fold: NDArray[np.int64], unit: NDArray[np.intp]
) -> Statistic:
    """Average precision within folds, by their number of cases: the precision at which a case is found, on average.

    The definition is scikit-learn's, ties included. A fold without controls says nothing and is left out, as in the
    AUC. Arguments are those of `auc_statistic`.
    """
    parts = []
    for number in np.unique(fold):
        rows = np.flatnonzero(fold == number)
        rows = rows[np.argsort(-score[rows], kind="stable")]
        last_of_tie = np.flatnonzero(np.append(np.diff(score[rows]) != 0, True))
        parts.append((unit[rows], case[rows], last_of_tie))

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        total, found = np.zeros((2, len(weights)))
        for rows, cases, last_of_tie in parts:
            called = weights[:, rows].cumsum(axis=1)[:, last_of_tie]
            right = (weights[:, rows] * cases).cumsum(axis=1)[:, last_of_tie]
            new = np.diff(right, axis=1, prepend=0.0)
            both = right[:, -1] < called[:, -1]
            total += both * (new * right / np.maximum(called, 1e-300)).sum(axis=1)
            found += both * right[:, -1]
        return _ratio(total, found)

    return statistic


def class_probabilities(predictions: pd.DataFrame) -> NDArray[np.float64]:
    """Probability of each class, shape (N, C): of `probability` its complement and itself, else the columns."""
    if "probability" in predictions:
        case = predictions["probability"].to_numpy(float)
        return np.stack([1 - case, case], axis=1)
    return predictions[probability_columns(predictions)].to_numpy(float)


def probability_columns(predictions: pd.DataFrame) -> list[str]:
    """`probability`, or with more than two classes `probability_0`, `probability_1` and so on, in this order."""
    if "probability" in predictions:
        return ["probability"]
    classes = sum(str(name).startswith("probability_") for name in predictions.columns)
    return [f"probability_{c}" for c in range(classes)]


def by_subject(predictions: pd.DataFrame) -> pd.DataFrame:
    """Average a subject's scans into one row a repeat; the site is that of the first scan.

    Args:
        predictions: One row a scan and repeat: subject, site, label, fold, repeat (0 where there is no such
            column), and probability with threshold (.5 where there is none) or the probabilities of the classes.

    Returns:
        Columns subject, site, label, fold, repeat, with two classes threshold, and the probabilities.
    """
    columns = probability_columns(predictions)
    fixed = {"site": "first", **({"threshold": "first"} if columns == ["probability"] else {})}
    missing = {name: value for name, value in (("repeat", 0), ("threshold", 0.5)) if name not in predictions}
    keys = ["subject", "repeat", "fold", "label"]
    grouped = predictions.assign(**missing).groupby(keys, as_index=False, sort=True)
    table = grouped.agg({**fixed, **dict.fromkeys(columns, "mean")})
    order = ["subject", "site", "label", "fold", "repeat", "threshold", *columns]
    return table[[name for name in order if name in table]]


def _draws(n: int, resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Weights of draws with replacement, a block of resamples at a time, each (b, S)."""
    block = max(1, _CELLS // n)
    for start in range(0, resamples, block):
        drawn = rng.integers(n, size=(min(block, resamples - start), n))
        cells = drawn + n * np.arange(len(drawn))[:, None]
        yield np.bincount(cells.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)


def _value(statistic: Statistic, n: int) -> float:
    return float(statistic(np.ones((1, n)))[0])


def _called(predictions: pd.DataFrame) -> NDArray[np.int64]:
    if "probability" in predictions:
        return (predictions["probability"] >= predictions["threshold"]).to_numpy().astype(np.int64)
    return class_probabilities(predictions).argmax(axis=1)


def mean_statistic(values: NDArray[Any], unit: NDArray[np.intp], n: int) -> Statistic:
    """Mean of rows whose subjects are `unit` among `n`."""
    total, rows = np.bincount(unit, values, minlength=n), np.bincount(unit, minlength=n).astype(float)
    return lambda weights: _ratio(weights @ total, weights @ rows)


def macro_statistic(statistics: Sequence[Statistic]) -> Statistic:
    """Mean over the classes that are there; undefined where there is one alone."""

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        values = np.stack([part(weights) for part in statistics])
        there = (~np.isnan(values)).sum(axis=0)
        return _ratio(np.nansum(values, axis=0), np.where(there >= min(2, len(statistics)), there, 0))

    return statistic


def _ratio(above: NDArray[np.float64], below: NDArray[Any]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.full(above.shape, nan), where=below > 0)
