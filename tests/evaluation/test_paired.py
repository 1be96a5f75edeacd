from math import isnan, sqrt

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fmrifm.evaluation.metrics import by_subject, classification_scores
from fmrifm.evaluation.paired import corrected_t, paired_differences
from fmrifm.evaluation.splits import Fold

SUBJECTS = [f"s{number:02d}" for number in range(40)]
FOLDS = [
    Fold(train=tuple(sorted(set(SUBJECTS) - set(SUBJECTS[part::4]))), test=tuple(SUBJECTS[part::4]))
    for part in range(4)
]


def predictions(strength: float, seed: int = 0) -> pd.DataFrame:
    rng, label = np.random.default_rng(seed), np.arange(40) // 4 % 2
    probability = 1 / (1 + np.exp(rng.normal(size=40) - strength * (label - 0.5)))
    fold = np.arange(40) % 4
    return by_subject(
        pd.DataFrame({"subject": SUBJECTS, "site": "n", "label": label, "fold": fold, "probability": probability})
    )


def test_the_corrected_test_is_the_published_formula_by_hand() -> None:
    # Mean .03; squared deviations .0004 .0001 .0001 .0004 sum to .001, so s^2 = .001 / 3.
    # Four folds of 10 tested and 30 learnt from: variance (1/4 + 1/3) .001 / 3 = 7 / 36000, error .0139443.
    test = corrected_t(np.array([0.01, 0.02, 0.04, 0.05]), 10 / 30)
    error = sqrt(7 / 36000)
    assert test.mean == pytest.approx(0.03)
    assert (test.low, test.high) == pytest.approx((0.03 - 3.182446 * error, 0.03 + 3.182446 * error), abs=1e-7)
    # Student's distribution with 3 degrees of freedom in closed form.
    t = 0.03 / error
    below = 0.5 + (t / sqrt(3) / (1 + t * t / 3) + np.arctan(t / sqrt(3))) / np.pi
    assert test.p == pytest.approx(2 * (1 - below), abs=1e-12)


def test_without_overlap_it_is_the_paired_t_test_of_scipy() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 9))
    test, expected = corrected_t(first - second, 0), stats.ttest_rel(first, second)
    assert test.p == pytest.approx(expected.pvalue)
    assert (test.low, test.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_the_smallest_difference_is_the_one_that_power_tables_give() -> None:
    # Cohen's d = .5 needs 34 pairs for a power of .8 (of .808, so the smallest is a little less than .5).
    values = np.random.default_rng(0).normal(size=34)
    test = corrected_t((values - values.mean()) / values.std(ddof=1), 0)
    assert 0.49 < test.smallest < 0.5


def test_the_smallest_difference_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(0)
    smallest = corrected_t(np.array([-1, 1, -1, 1, -1, 1]) * sqrt(5 / 6), 0).smallest  # of a deviation of 1
    draws = rng.normal(size=(4000, 6)) + smallest
    found = stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.02)


def test_only_the_corrected_test_keeps_its_level_where_training_sets_overlap() -> None:
    rng, wrong = np.random.default_rng(0), np.zeros(2)
    for _ in range(400):
        # No subject prefers a model; 30 splits each test 10 of the same 50.
        subject = rng.normal(size=50)
        folds = rng.permuted(np.tile(subject, (30, 1)), axis=1)[:, :10].mean(axis=1)
        wrong += [corrected_t(folds, share).p < 0.05 for share in (0, 10 / 40)]
    plain, corrected = wrong / 400
    assert plain > 0.4
    assert corrected < 0.08


def test_less_than_two_folds_show_nothing_and_equal_ones_leave_no_doubt() -> None:
    assert corrected_t(np.array([0.1]), 0.25).mean == 0.1
    assert isnan(corrected_t(np.array([0.1]), 0.25).p)
    assert isnan(corrected_t(np.array([]), 0.25).mean)
    assert corrected_t(np.array([0.25, 0.25]), 0.25).p == 0


def test_a_model_differs_from_itself_by_nothing() -> None:
    for difference in paired_differences(predictions(1), predictions(1), FOLDS, 50, np.random.default_rng(0)).values():
        figures = difference.to_json()
        assert (figures.pop("p"), figures.pop("n")) == (1, 40)
        assert set(figures.values()) == {0}


def test_a_difference_has_the_fields_of_the_metrics_file() -> None:
    found = paired_differences(predictions(1), predictions(2), FOLDS, 50, np.random.default_rng(0))
    assert list(found) == ["auc", "balanced_accuracy", "average_precision", "sensitivity", "specificity", "brier"]
    assert list(found["auc"].to_json()) == [
        "value", "ci_low", "ci_high", "n", "fold_mean", "t_low", "t_high", "p", "smallest",
    ]  # fmt: skip


def test_the_better_model_is_ahead_by_the_difference_of_the_scores_and_behind_the_other_way_round() -> None:
    ours, theirs = predictions(4), predictions(0)
    found = paired_differences(ours, theirs, FOLDS, 500, np.random.default_rng(0))
    back = paired_differences(theirs, ours, FOLDS, 500, np.random.default_rng(0))
    one, other = (classification_scores(table, 10, np.random.default_rng(0)) for table in (ours, theirs))
    for name, difference in found.items():
        assert difference.value == pytest.approx(one[name].value - other[name].value)
        assert difference.ci_low < difference.value < difference.ci_high
        assert (back[name].value, back[name].ci_low, back[name].t_high, back[name].p) == pytest.approx(
            (-difference.value, -difference.ci_high, -difference.t_low, difference.p)
        )
    assert found["auc"].ci_low > 0
    assert found["auc"].t_low > 0
    assert found["brier"].ci_high < 0


def test_pairing_narrows_the_interval_of_models_that_err_on_the_same_subjects() -> None:
    ours, theirs = predictions(1.1), predictions(1)  # the same noise
    difference = paired_differences(ours, theirs, FOLDS, 500, np.random.default_rng(0))["auc"]
    single = classification_scores(ours, 500, np.random.default_rng(0))["auc"]
    assert difference.ci_high - difference.ci_low < 0.5 * (single.ci_high - single.ci_low)


def test_the_test_over_folds_knows_how_many_subjects_were_learnt_from() -> None:
    ours, theirs = predictions(1.5), predictions(1)
    few = [Fold(train=fold.train[:10], test=fold.test) for fold in FOLDS]
    wide, narrow = (
        paired_differences(ours, theirs, folds, 5, np.random.default_rng(0))["brier"] for folds in (few, FOLDS)
    )
    assert (wide.t_high - wide.fold_mean) / (narrow.t_high - narrow.fold_mean) == pytest.approx(
        sqrt((1 / 4 + 1) / (1 / 4 + 1 / 3))
    )


def test_a_fold_that_has_one_label_does_not_enter_the_test_over_folds() -> None:
    ours, theirs = (
        table.assign(label=table["label"].where(table["fold"] > 0, 1)) for table in (predictions(2), predictions(1, 1))
    )
    found = paired_differences(ours, theirs, FOLDS, 50, np.random.default_rng(0))
    three = [table[table["fold"] > 0] for table in (ours, theirs)]
    expected = paired_differences(*three, FOLDS, 50, np.random.default_rng(0))
    assert found["auc"].p == expected["auc"].p
    assert found["brier"].p != expected["brier"].p


@pytest.mark.parametrize(
    "theirs",
    [
        predictions(1).iloc[1:],
        predictions(1).assign(fold=0),
        predictions(1).assign(label=lambda table: 1 - table["label"]),
        predictions(1)
        .drop(columns=["probability", "threshold"])
        .assign(probability_0=0, probability_1=0, probability_2=1),
    ],
    ids=["subjects", "folds", "labels", "classes"],
)
def test_models_of_other_subjects_folds_labels_or_classes_are_not_compared(theirs: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="paired_differences"):
        paired_differences(predictions(1), theirs, FOLDS, 5, np.random.default_rng(0))
