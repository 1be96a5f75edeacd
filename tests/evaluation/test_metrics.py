from math import isnan, nan
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    recall_score,
    roc_auc_score,
)

from fmrifm.evaluation.metrics import (
    Score,
    auc_statistic,
    bootstrap,
    by_subject,
    class_probabilities,
    classification_scores,
    fold_scores,
    metric_statistics,
    precision_statistic,
    skill,
    summed_by_subject,
)

BINARY = ["auc", "balanced_accuracy", "average_precision", "sensitivity", "specificity", "brier"]
MULTI = ["auc", "balanced_accuracy", "average_precision", "brier"]


def table_of(label: NDArray[np.int64], folds: int = 1, repeats: int = 1, seed: int = 0) -> pd.DataFrame:
    """Predictions with many ties, a threshold of .45; of more than two classes their probabilities."""
    rng, rows = np.random.default_rng(seed), []
    classes = int(label.max()) + 1
    for repeat in range(repeats):
        score = np.exp(1.2 * np.eye(classes)[label] + rng.normal(size=(len(label), classes)))
        score = score / score.sum(axis=1, keepdims=True)
        part = pd.DataFrame({"subject": [f"s{number:03d}" for number in range(len(label))], "site": "north"})
        part = part.assign(label=label, fold=rng.permutation(len(label)) % folds + repeat * folds, repeat=repeat)
        if classes == 2:
            rows.append(part.assign(threshold=0.45, probability=score[:, 1].round(1)))
        else:
            rows.append(part.assign(**{f"probability_{c}": score[:, c].round(2) for c in range(classes)}))
    return pd.concat(rows, ignore_index=True)


def binary(subjects: int = 61, **kind: int) -> pd.DataFrame:
    return table_of((np.arange(subjects) % 5 < 2).astype(np.int64), **kind)


def value(statistic, n: int) -> float:
    return float(statistic(np.ones((1, n)))[0])


def plain_auc(label: list[int], score: list[float], fold: list[int]) -> float:
    n = len(label)
    return value(auc_statistic(np.array(label) == 1, np.array(score), np.array(fold), np.arange(n)), n)


def by_sklearn(table: pd.DataFrame) -> dict[str, float]:
    """Metrics of scikit-learn on rows as they are, folds apart where scores of rows are compared."""
    label, p = table["label"].to_numpy(), class_probabilities(table)
    classes = p.shape[1]
    called = p.argmax(axis=1) if classes > 2 else (p[:, 1] >= table["threshold"]).astype(int)
    parts = [part for _, part in table.groupby("fold")]

    def within_folds(measure, weight) -> float:
        means = []
        for c in range(classes) if classes > 2 else [1]:
            truth = [part["label"].to_numpy() == c for part in parts]
            usable = [number for number, case in enumerate(truth) if 0 < case.sum() < len(case)]
            values = [measure(truth[number], class_probabilities(parts[number])[:, c]) for number in usable]
            means.append(np.average(values, weights=[weight(truth[number]) for number in usable]))
        return float(np.mean(means))

    scores = {
        "auc": within_folds(roc_auc_score, lambda case: case.sum() * (~case).sum()),
        "balanced_accuracy": balanced_accuracy_score(label, called),
        "average_precision": within_folds(average_precision_score, np.sum),
    }
    if classes > 2:
        return scores | {"brier": float(np.square(p - np.eye(classes)[label]).sum(axis=1).mean())}
    return scores | {
        "sensitivity": recall_score(label, called),
        "specificity": recall_score(label, called, pos_label=0),
        "brier": brier_score_loss(label, p[:, 1]),
    }


TABLES = {
    "one fold": binary(),
    "five folds of three repeats": binary(folds=5, repeats=3),
    "folds without a case": binary(subjects=12, folds=6),
    "three classes": table_of(np.arange(62) % 7 % 3),
    "three classes in folds": table_of(np.arange(62) % 7 % 3, folds=4, repeats=2),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_metric_of_weighted_subjects_is_that_of_scikit_learn_on_repeated_rows(table: pd.DataFrame) -> None:
    subjects = np.sort(table["subject"].unique())
    statistics = metric_statistics(table)
    assert list(statistics) == (BINARY if "probability" in table else MULTI)
    weights = np.random.default_rng(1).integers(4, size=(6, len(subjects))).astype(float)
    weights[0] = 1
    together = {name: statistic(weights) for name, statistic in statistics.items()}
    for draw, row in enumerate(weights):
        times = table["subject"].map(dict(zip(subjects, row.astype(int), strict=True)))
        expected = by_sklearn(table.loc[table.index.repeat(times)])
        assert {name: values[draw] for name, values in together.items()} == pytest.approx(expected, abs=1e-12)


def test_a_multi_class_auc_is_that_of_scikit_learn_one_against_the_rest() -> None:
    table = TABLES["three classes"]
    p = class_probabilities(table)
    expected = roc_auc_score(table["label"], p / p.sum(axis=1, keepdims=True), multi_class="ovr")
    assert value(metric_statistics(table)["auc"], len(table)) == pytest.approx(expected, abs=2e-3)  # p is rounded


def test_auc_counts_the_pairs_of_a_fold_and_no_others() -> None:
    # Fold 0: cases .6 .2, control .4: 1 of 2 pairs right. Fold 1: case .1, controls .1 .05: a tie and a right one.
    # Across folds 1 of the 5 further pairs would be wrong or right by the folds' scales alone.
    auc = plain_auc([1, 1, 0, 1, 0, 0], [0.6, 0.2, 0.4, 0.1, 0.1, 0.05], [0, 0, 0, 1, 1, 1])
    assert auc == (1 + 1.5) / 4


def test_a_fold_whose_scores_are_shifted_does_not_change_what_ranks() -> None:
    table = binary(folds=3)
    case, fold, unit = table["label"].to_numpy() == 1, table["fold"].to_numpy(), np.arange(len(table))
    for measure in (auc_statistic, precision_statistic):
        score = table["probability"].to_numpy()
        plain, shifted = (value(measure(case, s, fold, unit), len(table)) for s in (score, score + 10.0 * fold))
        assert plain == shifted


def test_ranking_is_undefined_where_no_fold_has_both_labels() -> None:
    label, score, fold, unit = np.array([0, 0, 1]), np.array([0.1, 0.2, 0.9]), np.array([0, 0, 1]), np.arange(3)
    for measure in (auc_statistic, precision_statistic):
        assert isnan(value(measure(label == 1, score, fold, unit), 3))


def test_a_class_that_is_not_there_is_left_out_and_one_class_alone_says_nothing() -> None:
    table = TABLES["three classes"]
    two, one = table[table["label"] != 1], table[table["label"] == 2]
    expected = recall_score(two["label"], class_probabilities(two).argmax(axis=1), labels=[0, 2], average="macro")
    assert value(metric_statistics(two)["balanced_accuracy"], len(two)) == pytest.approx(expected)
    scores = classification_scores(one, 5, np.random.default_rng(0))
    assert [name for name, score in scores.items() if isnan(score.value)] == [
        "auc", "balanced_accuracy", "average_precision",
    ]  # fmt: skip


def test_the_interval_of_a_mean_is_that_of_normal_theory() -> None:
    values = np.random.default_rng(0).exponential(size=400)
    score = bootstrap(lambda w: w @ values / w.sum(axis=1), 400, 4000, np.random.default_rng(1))
    half = NormalDist().inv_cdf(0.975) * values.std() / 20
    assert (score.value, score.n) == (pytest.approx(values.mean()), 400)
    assert (score.ci_low, score.ci_high) == (
        pytest.approx(values.mean() - half, abs=0.06 * half),
        pytest.approx(values.mean() + half, abs=0.06 * half),
    )


def test_every_subject_is_drawn_as_often_as_chance_wants_in_every_block(monkeypatch) -> None:
    monkeypatch.setattr("fmrifm.evaluation.metrics._CELLS", 70)  # 10 draws a block: the last one is short
    blocks: list[NDArray[np.float64]] = []
    bootstrap(lambda w: (blocks.append(w), w[:, 0])[1], 7, 2005, np.random.default_rng(0))
    drawn = np.concatenate(blocks[:-1])
    assert drawn.shape == (2005, 7)
    assert (drawn.sum(axis=1) == 7).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(7), abs=0.1)
    assert drawn.var(axis=0) == pytest.approx(np.full(7, 6 / 7), abs=0.15)


def test_draws_without_a_figure_do_not_count_and_none_at_all_is_null() -> None:
    def first_person(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(weights[:, 0] > 0, 2.0, nan)

    assert bootstrap(first_person, 4, 50, np.random.default_rng(0)) == Score(2.0, 2.0, 2.0, 4)
    empty = bootstrap(lambda w: np.where((w == 1).all(axis=1), 3.0, nan), 4, 5, np.random.default_rng(0))
    assert empty.to_json() == {"value": 3.0, "ci_low": None, "ci_high": None, "n": 4}


def test_a_permutation_p_is_told_where_there_is_one() -> None:
    assert Score(0.7, 0.6, 0.8, 9, p=0.01).to_json()["p"] == 0.01


def test_scores_are_those_of_a_confusion_table() -> None:
    # Cases .9 .8 .5 .1: 3 of 4 found (one half counts as a case). Controls .7 .2: 1 of 2 cleared.
    scans = pd.DataFrame({"label": [1, 1, 1, 1, 0, 0], "probability": [0.9, 0.8, 0.5, 0.1, 0.7, 0.2], "fold": 0})
    table = by_subject(scans.assign(subject=list("abcdef"), site="north"))
    scores = classification_scores(table, 20, np.random.default_rng(0))
    assert list(scores) == BINARY
    # Down the ranks: cases 1 and 2 at precision 1, the third at 3 of 4, the fourth at 4 of 6.
    assert {name: score.value for name, score in scores.items()} == pytest.approx(
        {
            "auc": 0.625, "balanced_accuracy": 0.625, "average_precision": (1 + 1 + 3 / 4 + 4 / 6) / 4,
            "sensitivity": 0.75, "specificity": 0.5, "brier": (0.01 + 0.04 + 0.25 + 0.81 + 0.49 + 0.04) / 6,
        }
    )  # fmt: skip
    assert all(score.n == 6 for score in scores.values())


def test_the_threshold_of_a_row_decides_what_is_called() -> None:
    table = binary().assign(threshold=lambda rows: np.where(rows["label"] == 1, 0.0, 2.0))
    scores = classification_scores(table, 5, np.random.default_rng(0))
    assert scores["balanced_accuracy"].value == 1


def test_intervals_hold_the_value_and_repeats_do_not_count_as_subjects() -> None:
    once, repeated = binary(), pd.concat([binary(), binary().assign(repeat=1, fold=1)])
    first, second = (classification_scores(table, 300, np.random.default_rng(0)) for table in (once, repeated))
    for name, score in first.items():
        assert score.ci_low < score.value < score.ci_high
        assert second[name].n == score.n == 61
        assert (second[name].ci_low, second[name].ci_high) == pytest.approx((score.ci_low, score.ci_high))


def test_the_same_seed_draws_the_same_interval() -> None:
    first, second = (classification_scores(binary(), 30, np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_folds_are_scored_one_by_one_in_the_order_of_their_numbers() -> None:
    table = binary(folds=3, repeats=2).sample(frac=1, random_state=0)
    scores = fold_scores(table)
    assert scores.index.tolist() == [0, 1, 2, 3, 4, 5]
    assert list(scores.columns) == BINARY
    for number, row in scores.iterrows():
        assert row.to_dict() == pytest.approx(by_sklearn(table[table["fold"] == number]))


def test_a_subject_counts_once_even_when_scanned_at_two_sites_or_at_none_known() -> None:
    predictions = pd.DataFrame(
        {
            "scan": ["a1", "a2", "b1"], "subject": ["a", "a", "b"], "site": ["north", "south", None],
            "fold": [0, 0, 1], "label": [1, 1, 0], "probability": [0.2, 0.6, 0.3],
        }
    )  # fmt: skip
    table = by_subject(predictions)
    assert list(table) == ["subject", "site", "label", "fold", "repeat", "threshold", "probability"]
    assert table[["subject", "fold", "label"]].to_numpy().tolist() == [["a", 0, 1], ["b", 1, 0]]
    assert table["probability"].tolist() == pytest.approx([0.4, 0.3])
    assert table["site"].iloc[0] == "north"
    assert table[["repeat", "threshold"]].to_numpy().tolist() == [[0, 0.5], [0, 0.5]]


def test_a_subject_has_a_row_a_repeat_and_keeps_all_classes() -> None:
    scans = pd.DataFrame(
        {
            "scan": ["a1", "a2", "a1", "a2"], "subject": "a", "site": "north", "label": 2, "fold": [1, 1, 3, 3],
            "repeat": [0, 0, 1, 1], "probability_0": [0.2, 0.4, 0.1, 0.1], "probability_1": [0.3, 0.3, 0.1, 0.3],
            "probability_2": [0.5, 0.3, 0.8, 0.6],
        }
    )  # fmt: skip
    table = by_subject(scans)
    assert list(table) == ["subject", "site", "label", "fold", "repeat", *(f"probability_{c}" for c in range(3))]
    assert table[["fold", "repeat"]].to_numpy().tolist() == [[1, 0], [3, 1]]
    assert class_probabilities(table).ravel() == pytest.approx([0.3, 0.3, 0.4, 0.1, 0.2, 0.7])


def test_a_fitted_threshold_survives_the_average_over_scans() -> None:
    scans = pd.DataFrame(
        {"scan": ["a1", "a2", "a3"], "subject": "a", "site": "n", "label": 1, "fold": 0, "repeat": 0, "threshold": 0.3,
         "probability": [0.1, 0.2, 0.6]}
    )  # fmt: skip
    assert by_subject(scans)[["threshold", "probability"]].to_numpy()[0] == pytest.approx([0.3, 0.3])


def test_skill_is_one_less_the_ratio_of_summed_errors():
    found = skill(np.array([1.0, 2.0, 3.0]), np.array([4.0, 4.0, 4.0]), 200, np.random.default_rng(0))
    assert (found.value, found.n) == (0.5, 3)
    assert 0.25 <= found.ci_low < 0.5 < found.ci_high <= 0.75


def test_what_is_left_of_scans_is_summed_by_subject_in_the_order_of_names():
    values = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    assert summed_by_subject(values, np.array(["b", "a", "b"])).tolist() == [[2.0, 20.0], [5.0, 50.0]]
