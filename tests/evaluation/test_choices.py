import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import cross_val_predict

from fmrifm.config import ReadoutConfig
from fmrifm.evaluation.choices import Choice, choose, threshold
from fmrifm.evaluation.probe import linear_classifier
from fmrifm.evaluation.readout import fixed_features
from fmrifm.evaluation.splits import Fold, inner_folds, sides

Cohort = tuple[pd.DataFrame, NDArray[np.float64]]
PENALTIES = (0.001, 1.0, 100.0)


@pytest.fixture
def cohort() -> Cohort:
    """60 subjects at two sites, 40 to learn from; 90 features, a few of which tell the label."""
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=60)
    names = [f"s{number:02d}" for number in range(60)]
    scans = pd.DataFrame({"scan": names, "subject": names, "site": ["a", "b"] * 30, "label": label})
    return scans, rng.normal(size=(60, 90)) + 0.6 * label[:, None] * (np.arange(90) < 6)


@pytest.fixture
def fold(cohort: Cohort) -> Fold:
    names = tuple(cohort[0]["subject"])
    return Fold(train=names[:40], test=names[40:])


def test_without_a_choice_nothing_is_fitted(fold: Fold) -> None:
    def never(*_: object) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        raise AssertionError

    config = ReadoutConfig(penalty=(3.0,))
    assert choose(never, pd.DataFrame(), fold, config) == Choice(3.0, 0.5)


def test_the_penalty_with_the_best_auc_on_inner_folds_is_taken(cohort: Cohort, fold: Fold) -> None:
    scans, features = cohort
    label = scans["label"].to_numpy()
    expected = {}
    for penalty in PENALTIES:
        aucs = []
        for inner in inner_folds(scans, fold, 5, seed=0):
            train, test = sides(scans, inner)
            model = linear_classifier(90, penalty).fit(features[train], label[train])
            aucs.append(roc_auc_score(label[test], model.predict_proba(features[test])[:, 1]))
        expected[penalty] = np.mean(aucs)
    assert len({round(value, 6) for value in expected.values()}) == 3
    chosen = choose(fixed_features(features, scans["site"]), scans, fold, ReadoutConfig(penalty=PENALTIES))
    assert chosen == Choice(max(expected, key=lambda penalty: expected[penalty]), 0.5)


@pytest.mark.parametrize("settings", [{"penalty": PENALTIES}, {"threshold": "inner"}])
def test_what_is_chosen_does_not_depend_on_the_tested(
    settings: dict[str, object],
    cohort: Cohort,
    fold: Fold,
) -> None:
    scans, features = cohort
    config = ReadoutConfig(**settings)  # type: ignore[arg-type]
    other = features.copy()
    other[40:] = 99.0
    told = scans.assign(label=np.where(scans.index < 40, scans["label"], 1 - scans["label"]))
    first, second = (
        choose(fixed_features(x, scans["site"]), table, fold, config) for x, table in ((features, scans), (other, told))
    )
    assert first == second


def test_of_equal_penalties_the_strongest_is_taken(cohort: Cohort, fold: Fold) -> None:
    scans, _ = cohort
    features = np.where(scans["label"].to_numpy()[:, None] == 1, 1.0, -1.0) * np.ones((1, 4))
    chosen = choose(fixed_features(features, scans["site"]), scans, fold, ReadoutConfig(penalty=(1.0, 5.0, 0.2)))
    assert chosen.penalty == 5.0


def test_the_threshold_is_where_balanced_accuracy_is_best() -> None:
    rng = np.random.default_rng(1)
    label = np.repeat([0, 1], [30, 10])
    probability = np.round(rng.uniform(0.0, 0.5, 40) + 0.2 * label, 2)
    cut = threshold(label, probability)
    best = max(balanced_accuracy_score(label, probability >= other) for other in np.arange(0, 1, 0.001))
    assert balanced_accuracy_score(label, probability >= cut) == pytest.approx(best)
    assert balanced_accuracy_score(label, probability >= 0.5) < best
    assert not np.isin(cut, probability)


@pytest.mark.parametrize(("label", "probability", "cut"), [
    ([0, 0, 1, 1], [0.1, 0.2, 0.4, 0.9], 0.3), ([0, 1], [0.0, 1.0], 0.5), ([1, 0], [0.2, 0.8], 1.0),
])  # fmt: skip
def test_the_threshold_lies_in_the_middle_of_a_gap(label: list[int], probability: list[float], cut: float) -> None:
    assert threshold(np.array(label), np.array(probability)) == pytest.approx(cut)


def test_inner_predictions_are_those_of_plain_cross_validation(cohort: Cohort, fold: Fold) -> None:
    scans, features = cohort
    splits = [sides(scans.iloc[:40], inner) for inner in inner_folds(scans, fold, 5, seed=0)]
    label = scans["label"].to_numpy()[:40]
    predicted = cross_val_predict(
        linear_classifier(90, 1.0), features[:40], label, cv=splits, method="predict_proba"
    )[:, 1]  # fmt: skip
    chosen = choose(fixed_features(features, scans["site"]), scans, fold, ReadoutConfig(threshold="inner"))
    assert chosen.threshold == pytest.approx(threshold(label, predicted), abs=1e-6)
