"""Divide subjects into folds; a subject is never on both sides."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from fmrifm.config import SplitConfig
from fmrifm.errors import DataError


@dataclass(frozen=True)
class Fold:
    """Who is learnt from and who is predicted."""

    train: tuple[str, ...]
    test: tuple[str, ...]


def labelled_scans(scans: pd.DataFrame, target: str) -> pd.DataFrame:
    """Scans that have a label, with a column `label` of 0 and 1.

    Raises:
        DataError: The column is missing, is not binary, or differs between scans of one subject.
    """
    if target not in scans:
        raise DataError(f"The scan table has no column {target!r}; it has {', '.join(scans.columns)}. Choose --target.")
    labelled = scans.dropna(subset=[target]).copy()
    values = sorted(labelled[target].unique().tolist(), key=str)
    if values != [0, 1]:
        raise DataError(
            f"Column {target!r} holds {values[:8]}; expected 0 and 1, both present. Choose another --target."
        )
    labelled["label"] = labelled[target].astype(int)
    mixed = labelled.groupby("subject")["label"].nunique()
    if (mixed > 1).any():
        raise DataError(
            f"Subjects with two labels in {target!r}: {', '.join(mixed.index[mixed > 1][:5])}. Mend the table."
        )
    return labelled


def make_folds(scans: pd.DataFrame, config: SplitConfig) -> list[Fold]:
    """Split labelled subjects as the settings say.

    Args:
        scans: Labelled scans with subject, site and label.
        config: `kfold`, stratified by site and label, or leave-one-`site`-out.

    Raises:
        DataError: Too few subjects or sites for the split, or the only site with a label is left out.
    """
    subjects = scans.drop_duplicates("subject").sort_values("subject").reset_index(drop=True)
    names = subjects["subject"].to_numpy()
    tests = _one_site_out(subjects) if config.splits == "site" else _kfold(subjects, config)
    return [Fold(train=tuple(np.delete(names, test)), test=tuple(names[test])) for test in tests]


def _one_site_out(subjects: pd.DataFrame) -> list[np.ndarray]:
    sites = sorted(subjects["site"].unique())
    if len(sites) < 2:
        raise DataError("Leave-one-site-out needs two sites; the store has one. Use --splits kfold.")
    for site in sites:
        left = subjects.loc[subjects["site"] != site, "label"]
        if left.nunique() < 2:
            raise DataError(
                f"Without site {site!r} no subject of label {1 - left.iloc[0]} is left to learn from. "
                "Use --splits kfold, or leave the site out of the store."
            )
    return [np.flatnonzero(subjects["site"] == site) for site in sites]


def _kfold(subjects: pd.DataFrame, config: SplitConfig) -> list[np.ndarray]:
    fewest = int(subjects["label"].value_counts().min())
    if fewest < config.folds:
        raise DataError(
            f"{config.folds} folds need as many subjects of each label; one label has {fewest}. Lower --folds."
        )
    stratum = subjects["site"].astype(str) + "/" + subjects["label"].astype(str)
    small = stratum.map(stratum.value_counts()) < config.folds
    stratum = stratum.where(~small, "any site/" + subjects["label"].astype(str))
    # A pooled stratum can still be small; then only the label is balanced.
    if (stratum.value_counts() < config.folds).any():
        stratum = subjects["label"].astype(str)
    splitter = StratifiedKFold(config.folds, shuffle=True, random_state=config.seed)
    return [test for _, test in splitter.split(subjects, stratum)]
