"""Could a linear classifier have scored so well on labels that mean nothing?

Labels are shuffled over subjects within their site, so that what site alone tells stays as it is, and
the classifier is fitted anew to every fold of every shuffle.

Axes: S scans, D features, n training scans, m test scans, P labellings (the first is the true one), C classes.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from fmrifm.evaluation.metrics import by_subject, metric_statistics
from fmrifm.evaluation.probe import linear_classifier
from fmrifm.evaluation.splits import Fold


def permutation_p(
    features: NDArray[np.floating],
    scans: pd.DataFrame,
    folds: Sequence[Fold],
    penalty: float,
    permutations: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """AUC of the linear classifier on features, and how often shuffled labels reach it.

    Args:
        features: Of each scan, made without its label, shape (S, D).
        scans: One row a scan: subject, site (where missing, it counts as a site of its own) and label (0 to C - 1).
        folds: Who is learnt from and predicted.
        penalty: Of `linear_classifier`.
        permutations: Shuffles of the labels.
        rng: Source of randomness.

    Returns:
        The AUC within folds, and p = (1 + shuffles that reach it) / (1 + shuffles).

    References:
        Phipson and Smyth 2010, Permutation p-values should never be zero, doi:10.2202/1544-6115.1585.
    """
    labels = np.stack([scans["label"].to_numpy(np.int64), *shuffled_labels(scans, permutations, rng)])
    tables: list[list[pd.DataFrame]] = [[] for _ in labels]
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        for number, fold in enumerate(folds):
            train, test = (scans["subject"].isin(part).to_numpy() for part in (fold.train, fold.test))
            # The penalty is rotation invariant: features that are rotated once give the classifier of the plain ones.
            scaler, regression = linear_classifier(features.shape[1], penalty)
            known = scaler.fit_transform(features[train].astype(np.float64))
            rotated = rotate(known, scaler.transform(features[test].astype(np.float64)))
            rows = scans.loc[test, ["subject", "site"]].assign(fold=number, repeat=getattr(fold, "repeat", 0))
            for place, label in enumerate(labels):
                probability = _fit_and_predict(regression, *rotated, label[train], int(labels.max()) + 1)
                tables[place].append(_as_table(rows.assign(label=label[test]), probability))
    aucs = np.array([_auc(pd.concat(parts, ignore_index=True)) for parts in tables])
    return float(aucs[0]), float(1 + (~(aucs[1:] < aucs[0])).sum()) / len(aucs)


def shuffled_labels(scans: pd.DataFrame, permutations: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Labels of the scans (S,) after a shuffle over the subjects of each site; scans of a subject share one."""
    subjects = scans.drop_duplicates("subject")
    label = subjects["label"].to_numpy(np.int64)
    place = pd.Index(subjects["subject"]).get_indexer(scans["subject"])
    site = subjects["site"].factorize()[0]
    parts = [np.flatnonzero(site == number) for number in np.unique(site)]
    for _ in range(permutations):
        shuffled = label.copy()
        for part in parts:
            shuffled[part] = rng.permutation(label[part])
        yield shuffled[place]


def rotate(train: NDArray[np.float64], test: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotate features (n, D) and (m, D) so that those of training scans need n numbers at most.

    Their products with each other stay what they are, and nothing else of them reaches a classifier with an L2 penalty.
    """
    if train.shape[1] <= train.shape[0]:
        return train, test
    values, vectors = np.linalg.eigh(train @ train.T)
    there = values > values[-1] * len(train) * np.finfo(float).eps
    length, vectors = np.sqrt(values[there]), vectors[:, there]
    return vectors * length, test @ train.T @ vectors / length


def _fit_and_predict(
    regression: LogisticRegression,
    train: NDArray[np.float64],
    test: NDArray[np.float64],
    label: NDArray[np.int64],
    classes: int,
) -> NDArray[np.float64]:
    """Probabilities (m, C); a class that training scans do not have gets 0, one that all have 1."""
    probability = np.zeros((len(test), classes))
    there = np.unique(label)
    probability[:, there] = regression.fit(train, label).predict_proba(test) if len(there) > 1 else 1.0
    return probability


def _as_table(rows: pd.DataFrame, probability: NDArray[np.float64]) -> pd.DataFrame:
    if probability.shape[1] == 2:
        return rows.assign(probability=probability[:, 1])
    return rows.assign(**{f"probability_{c}": column for c, column in enumerate(probability.T)})


def _auc(predictions: pd.DataFrame) -> float:
    table = by_subject(predictions)
    return float(metric_statistics(table)["auc"](np.ones((1, table["subject"].nunique())))[0])
