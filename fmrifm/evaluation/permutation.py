"""Could a linear classifier have scored so well on labels that mean nothing?

Labels are shuffled over subjects within their site, so that what site alone tells stays as it is, and
the classifier is fitted anew to every fold of every shuffle.

Axes: S scans, D features, n training scans, m test scans, P labellings (the first is the true one), C classes.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from fmrifm.evaluation.metrics import by_subject, metric_statistics
from fmrifm.evaluation.probe import class_probability, regression, rotation
from fmrifm.evaluation.readout import held_out_table
from fmrifm.evaluation.splits import Fold, FoldFeatures, sides

Label = TypeVar("Label", bound=np.generic)


def permutation_p(
    features: FoldFeatures,
    scans: pd.DataFrame,
    folds: Sequence[Fold],
    penalty: float,
    permutations: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """AUC of the linear classifier on features, and how often shuffled labels reach it.

    Args:
        features: Of the scans, made without their labels, for any part of them to learn from.
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
            train, test = sides(scans, fold)
            known, asked = features(train, test)
            turned, model = rotation().fit(known.astype(np.float64)), regression(known.shape[1], penalty)
            rotated = turned.transform(known), turned.transform(asked)
            for place, label in enumerate(labels):
                probability = _fit_and_predict(model, *rotated, label[train], int(labels.max()) + 1)
                rows = scans.iloc[test].assign(label=label[test])
                tables[place].append(held_out_table(rows, number, fold, probability))
    aucs = np.array([_auc(pd.concat(parts, ignore_index=True)) for parts in tables])
    return float(aucs[0]), float(1 + (~(aucs[1:] < aucs[0])).sum()) / len(aucs)


def shuffled_labels(scans: pd.DataFrame, permutations: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Labels of the scans (S,) after a shuffle over the subjects of each site; scans of a subject share one."""
    subjects = scans.drop_duplicates("subject")
    label = subjects["label"].to_numpy(np.int64)
    place = pd.Index(subjects["subject"]).get_indexer(scans["subject"])
    for shuffled in shuffle_within(label, subjects["site"].to_numpy(object), permutations, rng):
        yield shuffled[place]


def shuffle_within(
    label: NDArray[Label], site: NDArray[np.object_], shuffles: int, rng: np.random.Generator
) -> NDArray[Label]:
    """Labels in random order within each site, shape (shuffles, n); where the site is missing, it counts as one."""
    shuffled = np.tile(label, (shuffles, 1))
    number = pd.factorize(site)[0]
    for here in (number == site_number for site_number in np.unique(number)):
        shuffled[:, here] = rng.permuted(shuffled[:, here], axis=1)
    return shuffled


def _fit_and_predict(
    model: LogisticRegression,
    train: NDArray[np.float64],
    test: NDArray[np.float64],
    label: NDArray[np.int64],
    classes: int,
) -> NDArray[np.float64]:
    """As `class_probability`; where all training scans have one label it gets all the probability."""
    if len(there := np.unique(label)) > 1:
        return class_probability(model.fit(train, label), test, classes)
    certain = np.tile(np.eye(classes)[there[0]], (len(test), 1))
    return certain[:, 1] if classes == 2 else certain


def _auc(predictions: pd.DataFrame) -> float:
    table = by_subject(predictions)
    return float(metric_statistics(table)["auc"](np.ones((1, table["subject"].nunique())))[0])
