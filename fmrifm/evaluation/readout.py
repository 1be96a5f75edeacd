"""Read a label from features of scans in every fold, whatever made them: network, connectome or anything else.

Axes: S scans, D features, C classes.
"""

import copy

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from fmrifm.config import Harmonisation, ReadoutConfig
from fmrifm.evaluation.choices import choose
from fmrifm.evaluation.harmonise import fit_harmoniser
from fmrifm.evaluation.probe import class_probability, linear_classifier
from fmrifm.evaluation.splits import Fold, FoldFeatures, Positions, sides
from fmrifm.model.heads import ScanClassifier


def predict_folds(
    features: FoldFeatures, scans: pd.DataFrame, folds: list[Fold], config: ReadoutConfig
) -> pd.DataFrame:
    """Fit the linear classifier on the training scans of each fold and predict the others.

    Args:
        features: Of the scans, for any part of them to learn from.
        scans: Labelled scans with scan, subject, site and label.
        folds: Who is learnt from and who is predicted.
        config: Penalties and threshold, chosen inside each fold.

    Returns:
        One row a scan and round, as `held_out_table`.
    """
    label = scans["label"].to_numpy(np.int64)
    tables = []
    for number, fold in enumerate(folds):
        train, test = sides(scans, fold)
        choice = choose(features, scans, fold, config)
        known, asked = features(train, test)
        model = linear_classifier(known.shape[1], choice.penalty).fit(known.astype(np.float64), label[train])
        probability = class_probability(model, asked, int(label.max()) + 1)
        tables.append(held_out_table(scans.iloc[test], number, fold, probability, choice.threshold))
    return pd.concat(tables, ignore_index=True)


def held_out_table(
    scans: pd.DataFrame, number: int, fold: Fold, probability: NDArray[np.floating], threshold: float = 0.5
) -> pd.DataFrame:
    """Table of what was predicted of scans that a fold did not learn from.

    Args:
        scans: The scans, with scan, subject, site and label.
        number: Number of the fold through all rounds.
        fold: The fold.
        probability: Of label 1, shape (S,), or of each of C labels, shape (S, C).
        threshold: Probability from which label 1 is called.

    Returns:
        scan, subject, site, label, fold, repeat, and threshold and probability, or probability_0 to probability_(C-1).
    """
    table = scans[["scan", "subject", "site", "label"]].assign(fold=number, repeat=fold.repeat)
    if probability.ndim == 1:
        return table.assign(threshold=threshold, probability=probability)
    return table.assign(**{f"probability_{label}": column for label, column in enumerate(probability.T)})


def fixed_features(features: NDArray[np.floating], site: pd.Series, harmonise: Harmonisation = "none") -> FoldFeatures:
    """Features (S, D) that do not depend on the fold, but for taking out the sites, (S,)."""

    def of_fold(train: Positions, test: Positions) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        return _without_sites(features[train], features[test], site, train, test, harmonise)

    return of_fold


def pooled_features(
    classifier: ScanClassifier, summaries: Tensor, site: pd.Series, harmonise: Harmonisation = "none"
) -> FoldFeatures:
    """Features by a classifier's pooling, which may measure scans against those that are learnt from.

    Args:
        classifier: Whose pooling is copied and fitted.
        summaries: Of every scan, shape (S, ...).
        site: Of every scan, shape (S,).
        harmonise: How sites are taken out.
    """

    def of_fold(train: Positions, test: Positions) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        pooling = copy.deepcopy(classifier.pooling)
        pooling.fit(summaries[train])
        known, asked = (pooling.vectorise(summaries[part]).detach().numpy() for part in (train, test))
        return _without_sites(known, asked, site, train, test, harmonise)

    return of_fold


def _without_sites(
    known: NDArray[np.floating],
    asked: NDArray[np.floating],
    site: pd.Series,
    train: Positions,
    test: Positions,
    harmonise: Harmonisation,
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    line = fit_harmoniser(harmonise, known, site.iloc[train])
    return line.transform(known, site.iloc[train]), line.transform(asked, site.iloc[test])
