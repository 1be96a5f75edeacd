"""Baselines that every classifier has to stand beside, on the same folds.

Site predicts diagnosis in ADHD-200, and the 2012 competition's best entry used no imaging at
all: a figure without these beside it says nothing.

Axes: T volumes, V brain voxels, S scans, R regions.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from nilearn.connectome import ConnectivityMeasure
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype
from sklearn.compose import make_column_transformer
from sklearn.covariance import EmpiricalCovariance
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fmrifm.data.store import Store
from fmrifm.evaluation.probe import linear_classifier
from fmrifm.evaluation.splits import Fold

NUMBERS = ("age", "handedness", "iq")
CATEGORIES = ("sex",)
_STRONGEST = 0.999
"""Correlations are clipped here before Fisher's z."""


def connectomes(store: Store, scans: pd.Series, labels_V: NDArray[np.integer]) -> NDArray[np.float32]:
    """Fisher-z correlations between region means over the full run (nilearn), shape (S, R * (R - 1) / 2).

    These are Pearson correlations. nilearn by default shrinks them (Ledoit-Wolf), the more the shorter
    the run, which tells sites apart. A region without signal correlates with nothing: its edges are 0.

    Args:
        store: Where the scans are.
        scans: Their keys.
        labels_V: Region of each brain voxel, 0 = none; the same that the tokens tile.
    """
    values = np.unique(labels_V[labels_V > 0])
    share = (labels_V[:, None] == values).astype(np.float32)
    share /= share.sum(axis=0)
    series = [store.window(key) @ share for key in scans]
    measure = ConnectivityMeasure(
        EmpiricalCovariance(), kind="correlation", vectorize=True, discard_diagonal=True, standardize=False
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(measure.fit_transform(series))
    return np.arctanh(np.clip(correlation, -_STRONGEST, _STRONGEST)).astype(np.float32)


def baseline_models(scans: pd.DataFrame, edges: int, penalty: float) -> Mapping[str, Callable[[], Pipeline]]:
    """Untrained models by name: majority, site, phenotype, connectome.

    Args:
        scans: Labelled scans; phenotype columns without any value are left out, numbers in words are categories.
        edges: Number of connectome features.
        penalty: Of the connectome's classifier, the same as the encoder's.
    """
    present = [name for name in (*NUMBERS, *CATEGORIES) if name in scans and scans[name].notna().any()]
    numbers = [name for name in present if name in NUMBERS and is_numeric_dtype(scans[name])]
    categories = [name for name in present if name not in numbers]
    majority = int(scans["label"].mode()[0])
    models: dict[str, Callable[[], Pipeline]] = {
        # Of all scans: the majority of a fold's training scans leans against its test scans, and scores below one half.
        "majority": lambda: make_pipeline(DummyClassifier(strategy="constant", constant=majority)),
        "site": lambda: _logistic(["site"], []),
        "connectome": lambda: linear_classifier(edges, penalty),
    }
    if present:
        models["phenotype"] = lambda: _logistic(categories, numbers)
    return models


def baseline_predictions(
    scans: pd.DataFrame, connectome: NDArray[np.floating], folds: list[Fold], penalty: float
) -> dict[str, pd.DataFrame]:
    """Held-out predictions of every baseline.

    Args:
        scans: Labelled scans with subject, site, label and phenotype.
        connectome: One row a scan.
        folds: Who is learnt from and predicted.
        penalty: Of the connectome's classifier.

    Returns:
        Per baseline one row a scan: scan, subject, site, fold, label, probability.
    """
    models = baseline_models(scans, connectome.shape[1], penalty)
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in models}
    for number, fold in enumerate(folds):
        train = scans["subject"].isin(fold.train).to_numpy()
        test = scans["subject"].isin(fold.test).to_numpy()
        for name, build in models.items():
            features = connectome if name == "connectome" else scans
            model = build().fit(features[train], scans["label"][train])
            table = scans.loc[test, ["scan", "subject", "site", "label"]].assign(fold=number)
            tables[name].append(table.assign(probability=model.predict_proba(features[test])[:, -1]))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}


def _logistic(categories: list[str], numbers: list[str]) -> Pipeline:
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), categories),
        # A fold's training sites may not have measured a number at all: it is then 0 for everyone.
        (make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()), numbers),
    )
    return make_pipeline(columns, LogisticRegression(class_weight="balanced", max_iter=1000))
