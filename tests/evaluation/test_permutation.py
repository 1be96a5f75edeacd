import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest
from sklearn.metrics import roc_auc_score

from fmrifm.evaluation.permutation import permutation_p, shuffled_labels
from fmrifm.evaluation.probe import linear_classifier
from fmrifm.evaluation.readout import fixed_features
from fmrifm.evaluation.splits import Fold


def cohort(subjects: int = 30, classes: int = 2) -> pd.DataFrame:
    """Two scans of every third subject, three sites of which one is not known."""
    number = np.arange(subjects)
    table = pd.DataFrame({"subject": [f"s{n:02d}" for n in number], "label": number % 7 % classes})
    table["site"] = np.array(["north", "south", None], object)[number % 5 % 3]
    return pd.concat([table, table[::3]], ignore_index=True).assign(scan=lambda both: both.index.astype(str))


def folds_of(scans: pd.DataFrame, parts: int = 3) -> list[Fold]:
    names = sorted(scans["subject"].unique())
    return [
        Fold(train=tuple(sorted(set(names) - set(names[part::parts]))), test=tuple(names[part::parts]))
        for part in range(parts)
    ]


def features_of(scans: pd.DataFrame, size: int, effect: float, seed: int = 0) -> NDArray[np.float64]:
    values = np.random.default_rng(seed).normal(size=(len(scans), size))
    return values + effect * np.eye(size)[scans["label"]]


def auc_and_p(
    scans: pd.DataFrame,
    features: NDArray[np.float64],
    folds: list[Fold],
    permutations: int,
    rng: np.random.Generator | None = None,
    penalty: float = 1.0,
) -> tuple[float, float]:
    """AUC and p of plain features."""
    of_fold, rng = fixed_features(features, scans["site"]), rng or np.random.default_rng(0)
    return permutation_p(of_fold, scans, folds, penalty, permutations, rng)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_planted_difference_has_the_smallest_p(classes: int) -> None:
    scans = cohort(classes=classes)
    features = features_of(scans, 50, effect=20)
    auc, p = auc_and_p(scans, features, folds_of(scans), 19)
    assert auc > 0.95
    assert p == 1 / 20


@pytest.mark.parametrize("size", [50, 7])
def test_the_auc_is_that_of_the_plain_classifier(size: int) -> None:
    scans = cohort()
    features = features_of(scans, size, effect=0.5)
    expected, pairs = [], []
    for fold in folds_of(scans):
        train, test = (scans["subject"].isin(part) for part in (fold.train, fold.test))
        model = linear_classifier(size, 0.5).fit(features[train], scans["label"][train])
        held_out = scans[test].assign(p=model.predict_proba(features[test])[:, 1]).groupby("subject")
        label = held_out["label"].first()
        expected.append(roc_auc_score(label, held_out["p"].mean()))
        pairs.append(label.sum() * (1 - label).sum())
    auc, _ = auc_and_p(scans, features, folds_of(scans), 0, penalty=0.5)
    assert auc == pytest.approx(np.average(expected, weights=pairs))


def test_labels_stay_within_their_site_and_a_subject_keeps_one() -> None:
    scans = cohort()
    seen = set()
    for label in shuffled_labels(scans, 40, np.random.default_rng(0)):
        table = scans.assign(shuffled=label)
        subjects = table.drop_duplicates("subject")
        assert len(table[["subject", "shuffled"]].drop_duplicates()) == len(subjects)
        for _, site in subjects.groupby("site", dropna=False):
            assert sorted(site["shuffled"]) == sorted(site["label"])
        seen.add(tuple(label))
    assert len(seen) == 40


def test_what_site_alone_tells_is_not_significant() -> None:
    scans = cohort().assign(site=lambda table: np.where(table["label"] == 1, "north", "south"))
    auc, p = auc_and_p(scans, features_of(scans, 50, 20), folds_of(scans), 9)
    assert (auc, p) == (1, 1)


def test_p_is_uniform_where_there_is_nothing() -> None:
    scans, found = cohort().drop_duplicates("subject", ignore_index=True), []
    for seed in range(40):
        rng = np.random.default_rng(10_000 + seed)  # never the stream that made the features
        found.append(auc_and_p(scans, features_of(scans, 9, 0, seed), folds_of(scans, 2), 9, rng)[1])
    # p comes in steps of a tenth: spread each over its step.
    spread = np.array(found) - np.random.default_rng(0).uniform(0, 0.1, size=len(found))
    assert kstest(spread, "uniform").pvalue > 0.05


def test_training_scans_without_a_class_or_of_one_alone_are_no_error() -> None:
    scans = cohort(subjects=12, classes=3)
    folds = [Fold(train=("s00", "s01"), test=("s02", "s03", "s04")), Fold(train=("s00",), test=("s01", "s02", "s08"))]
    auc, p = auc_and_p(scans, features_of(scans, 9, 1), folds, 4)
    assert 0 <= auc <= 1
    assert 0.2 <= p <= 1


def test_the_same_seed_gives_the_same_p() -> None:
    scans = cohort()
    first, second = (
        auc_and_p(scans, features_of(scans, 40, 0.3), folds_of(scans), 9, rng=np.random.default_rng(1))
        for _ in range(2)
    )
    assert first == second
