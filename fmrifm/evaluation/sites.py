"""What the sites of a cohort are, and how well features tell them apart.

Axes: S scans, D features, C sites.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fmrifm.evaluation.metrics import Score, bootstrap, macro_statistic, mean_statistic
from fmrifm.evaluation.splits import Fold, FoldFeatures, sides


def site_table(predictions: pd.DataFrame, auc: Callable[[pd.DataFrame], Score]) -> pd.DataFrame:
    """Describe each site: how many subjects, how many of them cases, and how well those are told apart.

    Args:
        predictions: One row a subject and repeat, with subject, site and label.
        auc: Score of the rows of one site; undefined where they hold one label only.

    Returns:
        One row a site: site, n, cases (subjects whose label is not 0), prevalence, auc, ci_low, ci_high.
    """
    rows = []
    for site, here in predictions.groupby("site", sort=True):
        label, score = here.drop_duplicates("subject")["label"], auc(here)
        rows.append((site, len(label), int((label > 0).sum()), float((label > 0).mean()),
                     score.value, score.ci_low, score.ci_high))  # fmt: skip
    return pd.DataFrame(rows, columns=["site", "n", "cases", "prevalence", "auc", "ci_low", "ci_high"])


def predicted_sites(features: FoldFeatures, scans: pd.DataFrame, folds: Sequence[Fold]) -> pd.DataFrame | None:
    """Predict the site of each test subject from features alone, on the folds of the classifier.

    A ridge classifier with alpha = D and balanced sites on standardised features. Its balanced accuracy says how much
    of the site the features hold; features without any reach 1 / C, harmonised ones less: their training scans hold
    nothing that a linear classifier could learn.

    Args:
        features: Of the scans, for any part of them to learn from.
        scans: Their subject and site.
        folds: Who is learnt from and predicted.

    Returns:
        One row a subject and repeat: subject, site (that of the first scan), predicted, fold, repeat. Subjects of a
        site that the fold's training scans lack are left out, so it is None where each fold leaves sites out, as where
        there is one site.
    """
    scans = scans[["subject", "site"]].reset_index(drop=True)
    tables = []
    for number, fold in enumerate(folds):
        train, test = sides(scans, fold)
        train = train[scans["site"].iloc[train].notna()]
        site = scans["site"].iloc[train]
        test = test[scans["site"].iloc[test].isin(site)]
        if site.nunique() < 2 or not len(test):
            continue
        known, asked = features(train, test)
        model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=known.shape[1], class_weight="balanced"))
        model.fit(known, site)
        place = _likeliest(model.decision_function(asked), scans["subject"].iloc[test])
        table = scans.iloc[test].drop_duplicates("subject")
        predicted = model.classes_[place[table["subject"]]]
        tables.append(table.assign(predicted=predicted, fold=number, repeat=fold.repeat))
    return pd.concat(tables, ignore_index=True) if tables else None


def site_score(
    features: FoldFeatures, scans: pd.DataFrame, folds: Sequence[Fold], resamples: int, rng: np.random.Generator
) -> Score | None:
    """Balanced accuracy of `predicted_sites` with its interval over subjects; None where no site can be predicted."""
    table = predicted_sites(features, scans, folds)
    if table is None:
        return None
    unit = np.unique(table["subject"], return_inverse=True)[1]
    right = (table["site"] == table["predicted"]).to_numpy(float)
    rows = [(table["site"] == site).to_numpy() for site in table["site"].unique()]
    recalls = [mean_statistic(right[row], unit[row], unit.max() + 1) for row in rows]
    return bootstrap(macro_statistic(recalls), int(unit.max()) + 1, resamples, rng)


def _likeliest(decision: NDArray[np.floating], subject: pd.Series) -> pd.Series:
    """Number of the site with the highest mean decision over a subject's scans, by subject."""
    by_site = decision if decision.ndim == 2 else np.stack([-decision, decision], axis=1)
    return pd.DataFrame(by_site, index=subject).groupby(level=0).mean().idxmax(axis=1)
