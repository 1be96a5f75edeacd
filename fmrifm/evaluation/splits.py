"""Divide subjects into folds: a subject, or another with the same signal, is never on both sides.

`kfold` is stratified by site and label and may be repeated, `site` leaves one site out, a table says who is
tested when. Inner folds divide the training subjects of a fold once more, for whatever has to be chosen.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from fmrifm.config import SplitConfig
from fmrifm.data.scan import read_table
from fmrifm.errors import DataError, some
from fmrifm.evaluation.twins import seen_before, signal_groups


@dataclass(frozen=True)
class Fold:
    """Who is learnt from and who is predicted."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    repeat: int = 0
    """Round of the cross-validation; each tests a subject at most once."""


Positions = NDArray[np.intp]
FoldFeatures = Callable[[Positions, Positions], tuple[NDArray[np.floating], NDArray[np.floating]]]
"""Features of scans to learn from and of scans to predict, both as the former alone make them, by position."""


def sides(scans: pd.DataFrame, fold: Fold) -> tuple[Positions, Positions]:
    """Positions of the scans that a fold learns from and of those that it predicts."""
    train, test = (np.flatnonzero(scans["subject"].isin(part)) for part in (fold.train, fold.test))
    return train, test


def make_folds(scans: pd.DataFrame, config: SplitConfig) -> list[Fold]:
    """Split labelled subjects as the settings say.

    Args:
        scans: Labelled scans with subject, site and label, and with sha256 and signature where known.
        config: Kind of split, folds, rounds and seed.

    Returns:
        The folds of all rounds. A subject whose signal occurs under another name is not learnt from where that
        one is tested.

    Raises:
        DataError: Too few subjects or sites for the split, a table that does not fit, or the only site with a label
            is left out.
    """
    subjects = scans.drop_duplicates("subject").sort_values("subject").reset_index(drop=True)
    if config.splits == "site":
        tests = [(0, test) for test in _one_site_out(subjects)]
    elif config.splits == "kfold":
        tests = [(n, test) for n in range(config.repeats) for test in _kfold(subjects, config.folds, config.seed, n)]
    else:
        tests = _from_table(subjects, Path(config.splits))
    names, group = subjects["subject"].to_numpy(), signal_groups(scans)[subjects["subject"]].to_numpy()
    folds = []
    for repeat, test in tests:
        train = ~np.isin(group, group[test])
        folds.append(Fold(train=tuple(names[train]), test=tuple(names[test]), repeat=repeat))
        _check_learnable(subjects.loc[train, "label"], subjects["label"], folds[-1])
    return folds


def inner_folds(scans: pd.DataFrame, fold: Fold, folds: int, seed: int) -> list[Fold]:
    """Divide the training subjects of a fold, stratified as `kfold`, to choose something on.

    Raises:
        DataError: Too few of them.
    """
    training = scans[scans["subject"].isin(fold.train)]
    fewest = int(training.drop_duplicates("subject")["label"].value_counts().min())
    if fewest < folds:
        raise DataError(
            f"{folds} inner folds need as many training subjects of each label; one label has {fewest}. Lower "
            "--inner_folds."
        )
    return make_folds(training, SplitConfig(splits="kfold", folds=folds, seed=seed))


def without_seen(folds: Iterable[Fold], seen: Collection[str], scans: pd.DataFrame) -> list[Fold]:
    """Test nobody whose signal is that of one of the subjects seen; they may still be learnt from.

    Raises:
        DataError: Nobody is left to test.
    """
    known = seen_before(scans, seen)
    kept = [replace(fold, test=tuple(subject for subject in fold.test if subject not in known)) for fold in folds]
    if not (kept := [fold for fold in kept if fold.test]):
        raise DataError(
            "All subjects that the folds test were pretrained on, so none is left to test. Pretrain on others, or set "
            "--seen keep."
        )
    return kept


def _check_learnable(train: pd.Series, everyone: pd.Series, fold: Fold) -> None:
    if absent := sorted(set(everyone) - set(train)):
        tested = ", ".join(fold.test[:3])
        raise DataError(
            f"Where {tested} ... are tested, no subject of label {absent[0]} is left to learn from. Use fewer --folds, "
            "or other folds."
        )


def _one_site_out(subjects: pd.DataFrame) -> list[NDArray[np.intp]]:
    sites = sorted(subjects["site"].unique())
    if len(sites) < 2:
        raise DataError("Leave-one-site-out needs two sites; the store has one. Use --splits kfold.")
    for site in sites:
        left = set(subjects.loc[subjects["site"] != site, "label"])
        if absent := sorted(set(subjects["label"]) - left):
            raise DataError(
                f"Without site {site!r} no subject of label {absent[0]} is left to learn from. "
                "Use --splits kfold, or leave the site out of the store."
            )
    return [np.flatnonzero(subjects["site"] == site) for site in sites]


def _kfold(subjects: pd.DataFrame, folds: int, seed: int, repeat: int) -> list[NDArray[np.intp]]:
    fewest = int(subjects["label"].value_counts().min())
    if fewest < folds:
        raise DataError(f"{folds} folds need as many subjects of each label; one label has {fewest}. Lower --folds.")
    stratum = subjects["site"].astype(str) + "/" + subjects["label"].astype(str)
    small = stratum.map(stratum.value_counts()) < folds
    stratum = stratum.where(~small, "any site/" + subjects["label"].astype(str))
    # A pooled stratum can still be small; then only the label is balanced.
    if (stratum.value_counts() < folds).any():
        stratum = subjects["label"].astype(str)
    shuffle = int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0])
    return [test for _, test in StratifiedKFold(folds, shuffle=True, random_state=shuffle).split(subjects, stratum)]


def _from_table(subjects: pd.DataFrame, path: Path) -> list[tuple[int, NDArray[np.intp]]]:
    """Positions of the tested by round and fold, from a table with columns subject, fold and maybe repeat."""
    table = _read_folds(path)
    position = pd.Series(range(len(subjects)), index=subjects["subject"])
    tests = []
    for repeat, (_, rows) in enumerate(table.groupby("repeat", sort=True)):
        if missing := sorted(set(position.index) - set(rows["subject"])):
            raise DataError(
                f"{path}: no fold for {len(missing)} labelled subjects ({some(missing)}). Give every subject with a "
                "label a fold, or take its label out of the store."
            )
        if twice := sorted(set(rows["subject"][rows["subject"].duplicated()])):
            raise DataError(f"{path}: two folds in one round for {some(twice)}. Give a subject one fold a round.")
        known = rows[rows["subject"].isin(position.index)]
        tests += [
            (repeat, np.flatnonzero(subjects["subject"].isin(part["subject"]))) for _, part in known.groupby("fold")
        ]
    return tests


def _read_folds(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(
            f"splits is {str(path)!r}: no such file. Set kfold, site, or a table with columns subject, fold."
        )
    table = read_table(path)
    if missing := {"subject", "fold"} - set(table):
        found = ", ".join(table.columns)
        raise DataError(f"{path}: has columns {found}; expected subject and fold. Add {' and '.join(missing)}.")
    if (table[["subject", "fold"]] == "").any(axis=None):
        raise DataError(f"{path}: a row without subject or fold. Fill it in, or remove it.")
    return table if "repeat" in table else table.assign(repeat=0)
