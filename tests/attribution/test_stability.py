import numpy as np
import pytest

from fmrifm.attribution.stability import STABILITY_COLUMNS, agreement, fold_stability


def test_rankings_that_share_half_of_their_leaders_say_so_beside_chance() -> None:
    first = -np.arange(40.0)
    second = first.copy()
    second[5:10], second[30:35] = -50, 1
    found = agreement(first, second)
    assert (found["overlap"], found["chance"], found["k"]) == (0.5, 0.25, 10)


def test_a_region_that_one_of_them_lacks_counts_in_neither() -> None:
    first, second = np.arange(30.0), np.arange(30.0)
    first[29] = np.nan
    found = agreement(first, second)
    assert found == {"spearman": pytest.approx(1), "overlap": 1, "chance": 10 / 29, "k": 10}
    nothing = agreement(np.full(5, np.nan), np.arange(5.0))
    assert (nothing["k"], np.isnan(nothing["overlap"])) == (0, True)


def test_by_chance_rankings_share_what_the_chance_line_says() -> None:
    rng = np.random.default_rng(0)
    shared = [agreement(*rng.normal(size=(2, 50)))["overlap"] for _ in range(300)]
    assert np.mean(shared) == pytest.approx(0.2, abs=0.02)


def test_every_two_folds_are_compared_by_their_own_subjects() -> None:
    rng, case, fold = np.random.default_rng(0), np.arange(60) % 2 == 1, np.arange(60) // 20
    scores = rng.normal(0, 0.1, (60, 30)) + np.where(case[:, None], 1, -1) * np.linspace(0, 1, 30)
    scores[fold == 2] = rng.normal(size=(20, 30))
    table = fold_stability(scores, case, fold, "occlusion")
    assert list(table) == STABILITY_COLUMNS
    assert table[["a", "b"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 2]]
    assert table["n_a"].tolist() == [20, 20, 20]
    assert table["spearman"][0] > 0.95
    assert abs(table["spearman"][2]) < 0.5
