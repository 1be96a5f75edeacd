"""Baselines that every classifier has to stand beside, on the same folds.

Site predicts diagnosis in ADHD-200, and the 2012 competition's best entry used no imaging at
all: a figure without these beside it says nothing.

Axes: T volumes, V brain voxels, S scans, R regions, E = R * (R - 1) / 2 edges, C classes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from nilearn.connectome import ConnectivityMeasure, sym_matrix_to_vec
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.covariance import EmpiricalCovariance, LedoitWolf
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fmrifm.config import Harmonisation
from fmrifm.data.store import Store
from fmrifm.evaluation.probe import class_probability
from fmrifm.evaluation.readout import fixed_features, held_out_table
from fmrifm.evaluation.splits import Fold, FoldFeatures, Positions, sides

NUMBERS = ("age", "handedness", "iq")
CATEGORIES = ("sex",)
_STRONGEST = 0.999
"""Correlations are clipped here before Fisher's z."""

Model = tuple[Pipeline, pd.DataFrame]
"""A model to be fitted, and the table of all scans that it looks at."""


@dataclass(frozen=True, eq=False)
class Connectomes:
    """Connectivity between region means of whole scans (nilearn); a region without signal has edges of 0."""

    series: list[NDArray[np.float64]]
    """Region means of each scan, (T, R); in float32 nilearn's geometric mean does not settle."""
    correlation: NDArray[np.float32]
    """Fisher z of Pearson correlations, (S, E). nilearn by default shrinks them (Ledoit-Wolf), the more the shorter
    the run, which tells sites apart."""
    partial: NDArray[np.float32]
    """Partial correlations, (S, E), shrunk by Ledoit and Wolf's estimate: without it a run with fewer volumes than
    regions has none."""

    def reference(self, train: Iterable[int]) -> ConnectivityMeasure:
        """Geometric mean of the shrunk covariances of training scans, by position; most of the tangent's time."""
        measure = ConnectivityMeasure(LedoitWolf(store_precision=False), kind="tangent", standardize=False)
        return measure.fit([self.series[scan] for scan in train])

    def tangent(self, reference: ConnectivityMeasure) -> NDArray[np.float32]:
        """Shrunk covariances of all scans, seen from the mean of the training ones, (S, E + R).

        References:
            Varoquaux et al. 2010, doi:10.1007/978-3-642-15705-9_25.
        """
        covered = np.stack([series.any(axis=0) for series in self.series])
        # What is left of a region without signal is the shrinkage, whose logarithm is far from 0.
        matrices = reference.transform(self.series) * (covered[:, :, None] & covered[:, None, :])
        return np.asarray(sym_matrix_to_vec(matrices), np.float32)


def connectomes(store: Store, scans: pd.Series, labels_V: NDArray[np.integer]) -> Connectomes:
    """Read scans once and measure their connectivity.

    Args:
        store: Where the scans are.
        scans: Their keys.
        labels_V: Region of each brain voxel, 0 = none; the same that the tokens tile.
    """
    values = np.unique(labels_V[labels_V > 0])
    share = (labels_V[:, None] == values).astype(np.float32)
    share /= share.sum(axis=0)
    series = [(store.window(key) @ share).astype(np.float64) for key in scans]
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(_edges(series, EmpiricalCovariance(), "correlation"))
    z = np.arctanh(np.clip(correlation, -_STRONGEST, _STRONGEST)).astype(np.float32)
    partial = _edges(series, LedoitWolf(store_precision=False), "partial correlation")
    return Connectomes(series, z, partial.astype(np.float32))


def _edges(series: list[NDArray[np.float64]], covariance: EmpiricalCovariance, kind: str) -> NDArray[np.floating]:
    measure = ConnectivityMeasure(covariance, kind=kind, vectorize=True, discard_diagonal=True, standardize=False)
    return np.asarray(measure.fit_transform(series))


def tabular_models(scans: pd.DataFrame) -> dict[str, Model]:
    """Models that look at no image, and what they look at: majority, site, phenotype (with site), motion.

    Args:
        scans: Labelled scans; columns without any value are left out, with them a model that would have none left.
            Numbers in words are categories.
    """
    present = [name for name in (*NUMBERS, *CATEGORIES) if name in scans and scans[name].notna().any()]
    numbers = [name for name in present if name in NUMBERS and is_numeric_dtype(scans[name])]
    categories = [name for name in present if name not in numbers]
    majority = DummyClassifier(strategy="constant", constant=int(scans["label"].mode()[0]))
    models: dict[str, Model] = {
        # Of all scans: the majority of a fold's training scans leans against its test scans, and scores below one half.
        "majority": (make_pipeline(majority), scans),
        "site": (_logistic(["site"], []), scans),
    }
    if present:
        models["phenotype"] = (_logistic([*categories, "site"], numbers), scans)
    motion = _motion(scans)
    if not motion.empty:
        models["motion"] = (_logistic([], [str(name) for name in motion]), motion)
    return models


def tabular_predictions(scans: pd.DataFrame, folds: Sequence[Fold]) -> dict[str, pd.DataFrame]:
    """Held-out predictions of every model that looks at no image.

    Args:
        scans: Labelled scans (labels 0 to C - 1) with subject, site and, where known, phenotype and motion.
        folds: Who is learnt from and predicted.

    Returns:
        Per model one row a scan and round, as `readout.held_out_table` makes them.
    """
    label, classes = scans["label"].to_numpy(np.int64), int(scans["label"].max()) + 1
    models, tables = tabular_models(scans), dict[str, list[pd.DataFrame]]()
    for number, fold in enumerate(folds):
        train, test = sides(scans, fold)
        for name, (model, table) in models.items():
            fitted = clone(model).fit(table.iloc[train], label[train])
            probability = class_probability(fitted, table.iloc[test], classes)
            tables.setdefault(name, []).append(held_out_table(scans.iloc[test], number, fold, probability))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}


def connectome_features(connectomes: Connectomes, site: pd.Series, harmonise: Harmonisation) -> dict[str, FoldFeatures]:
    """Features of connectome baselines by name, sites (S,) taken out as asked."""

    @cache
    def reference(train: tuple[int, ...]) -> ConnectivityMeasure:
        # The same fold is asked for again: to predict the label, then the site.
        return connectomes.reference(train)

    def tangent(train: Positions, test: Positions) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        features = connectomes.tangent(reference(tuple(train.tolist())))
        return fixed_features(features, site, harmonise)(train, test)

    return {
        "connectome": fixed_features(connectomes.correlation, site, harmonise),
        "connectome_partial": fixed_features(connectomes.partial, site, harmonise),
        "connectome_tangent": tangent,
    }


def _motion(scans: pd.DataFrame) -> pd.DataFrame:
    """Framewise displacement, and the shares of volumes that are spikes or scrubbed, as far as they are known.

    Counts would tell the length of the run, and with it the site. Volumes before the steady state are no motion.
    """
    found = {}
    if "mean_fd" in scans:
        found["mean_fd"] = pd.to_numeric(scans["mean_fd"], errors="coerce")
    for name in ("n_spikes", "n_scrubbed"):
        if name in scans:
            found[name] = scans[name] / (scans["n_volumes"] + scans["n_scrubbed"])
    return pd.DataFrame(found, index=scans.index).dropna(axis=1, how="all")


def _logistic(categories: list[str], numbers: list[str]) -> Pipeline:
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), categories),
        # A fold's training sites may not have measured a number at all: it is then 0 for everyone.
        (make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()), numbers),
    )
    return make_pipeline(columns, LogisticRegression(class_weight="balanced", max_iter=1000))
