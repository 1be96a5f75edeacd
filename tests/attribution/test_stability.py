import numpy as np
import pandas as pd
import pytest

from fmrifm.attribution.resampling import counted
from fmrifm.attribution.stability import LEADING, STABILITY_COLUMNS, stability


def scores_of(S: int, R: int, effect: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores (S, R) whose difference between labels grows with the region's number, and labels."""
    label = np.arange(S) % 2
    scores = np.random.default_rng(seed).normal(size=(S, R))
    return scores + effect * (2 * label[:, None] - 1) * np.arange(R) / R, label


def test_the_hand_computed_rows() -> None:
    scores = np.array([[1.0, 2, 3], [3.0, 4, 5], [9.0, 1, 5], [0, 0, np.nan]])
    table = stability(scores, np.array([0, 0, 1, 4]), None, "fidelity")
    assert table.columns.tolist() == STABILITY_COLUMNS
    assert table[["method", "over", "a", "b", "n_a", "n_b"]].to_numpy().tolist() == [
        ["fidelity", "folds", 0, 1, 2, 1], ["fidelity", "folds", 0, 4, 2, 1], ["fidelity", "folds", 1, 4, 1, 1],
    ]  # fmt: skip
    assert table["spearman"].tolist() == pytest.approx([-0.5, np.nan, np.nan], nan_ok=True)
    assert table["k"].tolist() == [3, 2, 2]
    assert table[["overlap", "chance"]].to_numpy().tolist() == [[1, 1]] * 3


def test_a_planted_ranking_is_stable_and_noise_is_at_chance() -> None:
    fold = np.arange(200) // 2 % 5
    scores, label = scores_of(200, 60, effect=10)
    planted = stability(scores, fold, label, "occlusion")
    assert len(planted) == 10
    assert (planted["spearman"] > 0.95).all()
    assert (planted["overlap"] >= 0.8).all()
    assert (planted["n_a"] == 40).all()
    noise = stability(scores_of(200, 60, effect=0)[0], fold, label, "occlusion")
    assert abs(noise["spearman"].mean()) < 0.1
    assert noise["overlap"].mean() == pytest.approx(LEADING / 60, abs=0.1)
    assert (noise["chance"] == LEADING / 60).all()


def test_the_ranking_is_half_the_difference_where_labels_are_given() -> None:
    """The level of scores rises over regions in one fold and falls in the other; what labels add is the same."""
    scores, label = scores_of(80, 20, effect=20)
    fold = np.arange(80) // 2 % 2
    scores += 1000 * (2 * fold[:, None] - 1) * np.arange(20)
    assert stability(scores, fold, None, "fidelity")["spearman"][0] == pytest.approx(-1)
    assert stability(scores, fold, label, "occlusion")["spearman"][0] > 0.95
    assert stability(scores, fold, 1 - label, "occlusion")["spearman"][0] > 0.95


@pytest.mark.filterwarnings("error")
def test_a_fold_without_one_label_has_no_ranking() -> None:
    scores, label = scores_of(12, 15, effect=5)
    table = stability(scores, np.arange(12) % 3, np.where(np.arange(12) % 3 == 2, 1, label), "occlusion")
    by_pair = table.set_index(["a", "b"])
    assert by_pair.loc[(0, 1), "spearman"] > 0
    assert by_pair.loc[[(0, 2), (1, 2)], ["spearman", "overlap", "chance"]].isna().all(axis=None)
    assert by_pair.loc[(0, 2), "k"] == 0


def test_who_is_in_no_fold_unlabelled_or_not_asked_does_not_count() -> None:
    scores, label = scores_of(40, 15, effect=5)
    fold, labels = np.arange(40) // 2 % 2 * 1.0, label * 1.0
    plain = stability(scores[8:], fold[8:], labels[8:], "occlusion")
    fold[:2], labels[2:4], scores[4:8] = np.nan, np.nan, np.nan
    pd.testing.assert_frame_equal(stability(scores, fold, labels, "occlusion"), plain)


def test_a_region_that_nobody_of_a_fold_covers_is_left_out_of_its_pairs() -> None:
    scores, label = scores_of(60, 30, effect=5)
    fold, coverage = np.arange(60) // 2 % 3, np.ones(scores.shape)
    coverage[np.ix_(fold == 1, range(5))] = 0.3
    table = stability(counted(scores, coverage), fold, label, "occlusion").set_index(["a", "b"])
    assert table["chance"].tolist() == [10 / 25, 10 / 30, 10 / 25]


@pytest.mark.parametrize("fold", [np.zeros(6), np.full(6, np.nan)])
def test_one_fold_has_no_pairs(fold: np.ndarray) -> None:
    table = stability(scores_of(6, 4, 0)[0], fold, None, "fidelity", over="seeds")
    assert table.columns.tolist() == STABILITY_COLUMNS
    assert table.empty
