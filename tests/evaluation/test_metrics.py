from math import isnan, nan

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from fmrifm.evaluation.metrics import Score, auc_within_folds, bootstrap, by_subject, classification_scores


def noisy_predictions(subjects: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=subjects)
    probability = np.clip(0.5 + 0.2 * (label - 0.5) + 0.2 * rng.normal(size=subjects), 0, 1).round(1)
    return pd.DataFrame({"label": label, "probability": probability, "fold": np.arange(subjects) % 3})


def test_auc_counts_the_pairs_of_a_fold_and_no_others() -> None:
    # Fold 0: cases .6 .2, control .4: 1 of 2 pairs right. Fold 1: case .1, controls .1 .05: a tie and a right one.
    # Across folds 1 of the 5 further pairs would be wrong or right by the folds' scales alone.
    label = np.array([1, 1, 0, 1, 0, 0])
    score = np.array([0.6, 0.2, 0.4, 0.1, 0.1, 0.05])
    assert auc_within_folds(label, score, np.array([0, 0, 0, 1, 1, 1])) == (1 + 1.5) / 4


def test_with_one_fold_the_auc_is_that_of_scikit_learn_ties_included() -> None:
    table = noisy_predictions()
    ours = auc_within_folds(table["label"].to_numpy(), table["probability"].to_numpy(), np.zeros(60, np.int64))
    assert ours == pytest.approx(roc_auc_score(table["label"], table["probability"]), abs=1e-12)


def test_a_fold_whose_scores_are_shifted_does_not_change_the_auc() -> None:
    table = noisy_predictions()
    label, fold = table["label"].to_numpy(), table["fold"].to_numpy()
    score = table["probability"].to_numpy()
    assert auc_within_folds(label, score + 10.0 * fold, fold) == auc_within_folds(label, score, fold)


def test_auc_is_undefined_where_no_fold_has_both_labels() -> None:
    assert isnan(auc_within_folds(np.array([0, 0, 1]), np.array([0.1, 0.2, 0.9]), np.array([0, 0, 1])))


def test_the_interval_of_a_share_is_the_binomial_one() -> None:
    right = np.arange(100) < 70
    score = bootstrap(lambda rows: float(right[rows].mean()), 100, 4000, np.random.default_rng(0))
    assert (score.value, score.n) == (0.7, 100)
    assert score.ci_low == pytest.approx(binom.ppf(0.025, 100, 0.7) / 100, abs=0.011)
    assert score.ci_high == pytest.approx(binom.ppf(0.975, 100, 0.7) / 100, abs=0.011)


def test_draws_without_a_figure_do_not_count_and_none_at_all_is_null() -> None:
    whole = np.arange(4)

    def first_person(rows: np.ndarray) -> float:
        return 2.0 if (rows == 0).any() else nan

    assert bootstrap(first_person, 4, 50, np.random.default_rng(0)) == Score(2.0, 2.0, 2.0, 4)
    empty = bootstrap(lambda rows: 3.0 if np.array_equal(rows, whole) else nan, 4, 5, np.random.default_rng(0))
    assert empty.to_json() == {"value": 3.0, "ci_low": None, "ci_high": None, "n": 4}


def test_scores_are_those_of_a_confusion_table() -> None:
    # Cases .9 .8 .5 .1: 3 of 4 found (one half counts as a case). Controls .7 .2: 1 of 2 cleared.
    table = pd.DataFrame({"label": [1, 1, 1, 1, 0, 0], "probability": [0.9, 0.8, 0.5, 0.1, 0.7, 0.2], "fold": 0})
    scores = classification_scores(table, 20, np.random.default_rng(0))
    assert list(scores) == ["balanced_accuracy", "auc", "sensitivity", "specificity"]
    assert {name: score.value for name, score in scores.items()} == {
        "balanced_accuracy": 0.625, "auc": 0.625, "sensitivity": 0.75, "specificity": 0.5,
    }  # fmt: skip
    assert all(score.n == 6 for score in scores.values())


def test_balanced_accuracy_is_that_of_scikit_learn_and_lies_in_its_interval() -> None:
    table = noisy_predictions()
    score = classification_scores(table, 200, np.random.default_rng(0))["balanced_accuracy"]
    assert score.value == pytest.approx(balanced_accuracy_score(table["label"], table["probability"] >= 0.5))
    assert score.ci_low < score.value < score.ci_high


def test_the_same_seed_draws_the_same_interval() -> None:
    first, second = (classification_scores(noisy_predictions(), 30, np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_a_subject_counts_once_even_when_scanned_at_two_sites_or_at_none_known() -> None:
    predictions = pd.DataFrame(
        {
            "scan": ["a1", "a2", "b1"], "subject": ["a", "a", "b"], "site": ["north", "south", None],
            "fold": [0, 0, 1], "label": [1, 1, 0], "probability": [0.2, 0.6, 0.3],
        }
    )  # fmt: skip
    table = by_subject(predictions)
    assert table[["subject", "fold", "label"]].to_numpy().tolist() == [["a", 0, 1], ["b", 1, 0]]
    assert table["probability"].tolist() == pytest.approx([0.4, 0.3])
    assert table["site"].iloc[0] == "north"
