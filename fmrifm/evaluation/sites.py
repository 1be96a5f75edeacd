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

from fmrifm.evaluation.harmonise import Harmonisation, fit_harmoniser
from fmrifm.evaluation.metrics import Score
from fmrifm.evaluation.splits import Fold


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


def predicted_sites(
    features_SD: NDArray[np.floating], scans: pd.DataFrame, folds: Sequence[Fold], harmonise: Harmonisation = "none"
) -> pd.DataFrame | None:
    """Predict the site of each test subject from features alone, on the folds of the classifier.

    A ridge classifier with alpha = D and balanced sites on standardised features. Its balanced accuracy says how much
    of the site the features hold; features without any reach 1 / C, harmonised ones less: their training scans hold
    nothing that a linear classifier could learn.

    Args:
        features_SD: One row a scan.
        scans: Their subject and site.
        folds: Who is learnt from and predicted.
        harmonise: What takes the sites out of the features first, fitted on each fold's training scans.

    Returns:
        One row a subject and repeat: subject, site (that of the first scan), predicted, fold, repeat. Subjects of a
        site that the fold's training scans lack are left out, so it is None where each fold leaves sites out, as where
        there is one site.
    """
    scans = scans[["subject", "site"]].reset_index(drop=True)
    known = scans["site"].notna()
    tables = []
    for number, fold in enumerate(folds):
        train = (scans["subject"].isin(fold.train) & known).to_numpy()
        site = scans.loc[train, "site"]
        test = (scans["subject"].isin(fold.test) & scans["site"].isin(site)).to_numpy()
        if site.nunique() < 2 or not test.any():
            continue
        harmoniser = fit_harmoniser(harmonise, features_SD[train], site)
        features = harmoniser.transform(features_SD, scans["site"])
        model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=features.shape[1], class_weight="balanced"))
        model.fit(features[train], site)
        place = _likeliest(model.decision_function(features[test]), scans.loc[test, "subject"])
        table = scans[test].drop_duplicates("subject")
        predicted = model.classes_[place[table["subject"]]]
        tables.append(table.assign(predicted=predicted, fold=number, repeat=getattr(fold, "repeat", 0)))
    return pd.concat(tables, ignore_index=True) if tables else None


def _likeliest(decision: NDArray[np.floating], subject: pd.Series) -> pd.Series:
    """Number of the site with the highest mean decision over a subject's scans, by subject."""
    by_site = decision if decision.ndim == 2 else np.stack([-decision, decision], axis=1)
    return pd.DataFrame(by_site, index=subject).groupby(level=0).mean().idxmax(axis=1)
