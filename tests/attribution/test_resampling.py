from itertools import combinations, product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, kstest, permutation_test, ttest_1samp

from fmrifm.attribution import resampling
from fmrifm.attribution.resampling import adjusted, difference_p, drawn_value, draws, estimate, known_mean, rank

ONE_SITE = np.array(["only"] * 100, object)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def size_of_difference(first: NDArray[np.float64], second: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    return np.abs(np.mean(first, axis=axis) - np.mean(second, axis=axis))


def test_the_first_draw_is_everyone_once_and_strangers_are_never_drawn() -> None:
    members = np.array([True, False, True, True])
    weight = draws(members, 50, rng())
    assert weight[0].tolist() == [1, 0, 1, 1]
    assert (weight.sum(axis=1) == 3).all()
    assert (weight[:, 1] == 0).all()
    assert draws(np.zeros(4, bool), 3, rng()).tolist() == [[0.0] * 4] * 4


def test_means_are_of_known_scores_and_two_groups_give_half_their_difference() -> None:
    scores = np.array([[1.0, np.nan], [3.0, 4.0], [7.0, np.nan]])
    assert known_mean(np.array([[1.0, 1, 1], [2, 1, 0], [1, 0, 0]]), scores)[:, 0].tolist() == [11 / 3, 5 / 3, 1]
    assert known_mean(np.array([[1.0, 1, 1], [1, 0, 1]]), scores)[:, 1].tolist() == pytest.approx(
        [4, np.nan], nan_ok=True
    )
    one, zero = np.array([[0.0, 1, 1]]), np.array([[1.0, 0, 0]])
    assert drawn_value(scores, one, zero)[0].tolist() == pytest.approx([2, np.nan], nan_ok=True)


def test_the_interval_of_a_mean_is_that_of_normal_theory() -> None:
    scores = rng().normal(3, 2, size=(300, 1))
    value, low, high = estimate(drawn_value(scores, draws(np.ones(300, bool), 4000, rng())))[:, 0]
    expected = ttest_1samp(scores[:, 0], 0).confidence_interval()
    assert value == pytest.approx(scores.mean())
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_p_is_that_of_scipy_over_all_labellings() -> None:
    scores = np.column_stack([[1.0, 5, 2, 8, 3, 9, 4, 7, 7], [0.3, -1, 2, 0, 1, -1, 0, 0.5, 0.1], np.arange(9) ** 2])
    case = np.array([0, 1, 0, 1, 0, 1, 1, 0, 0], bool)
    found = difference_p(scores, case, ONE_SITE[:9], 20_000, rng())
    exact = permutation_test(
        (scores[case].T, scores[~case].T), size_of_difference, n_resamples=np.inf, axis=1, alternative="greater"
    )
    assert found == pytest.approx(exact.pvalue, abs=0.012)


def test_labels_are_shuffled_within_their_site() -> None:
    """Every labelling that keeps each site's count, by hand; a missing site is one too."""
    score, case = np.array([1.0, 2, 3.5, 11, 12, 14, 15.5]), np.array([0, 0, 1, 0, 1, 1, 1], bool)
    site = np.array(["a", "a", "a", None, None, None, None], object)
    sizes = []
    for first, second in product(combinations(range(3), 1), combinations(range(3, 7), 3)):
        chosen = np.isin(np.arange(7), [*first, *second])
        sizes.append(abs(score[chosen].mean() - score[~chosen].mean()))
    exact = np.mean(np.array(sizes) >= abs(score[case].mean() - score[~case].mean()) - 1e-9)
    assert difference_p(score[:, None], case, site, 20_000, rng())[0] == pytest.approx(exact, abs=0.012)
    assert abs(difference_p(score[:, None], case, ONE_SITE[:7], 20_000, rng())[0] - exact) > 0.05


def test_where_each_site_holds_one_label_nothing_can_be_said() -> None:
    site = np.array(["a", "a", "b", "b"], object)
    assert difference_p(np.array([[1.0], [2], [30], [40]]), np.array([0, 0, 1, 1], bool), site, 99, rng()) == [1.0]


def test_p_is_uniform_where_labels_mean_nothing() -> None:
    generator = np.random.default_rng(0)
    scores, site = generator.exponential(size=(44, 500)), np.array(list("abcd") * 11, object)
    scores += 3 * (site == "a")[:, None]
    scores[generator.random(scores.shape) < 0.2] = np.nan
    p = difference_p(scores, generator.random(44) < 0.4, site, 999, generator)
    assert kstest(p, "uniform").pvalue > 0.05
    assert 0.03 < (p <= 0.05).mean() < 0.07


def test_a_planted_difference_gets_the_smallest_p_in_either_direction() -> None:
    scores, case = rng().normal(size=(40, 3)), np.arange(40) % 2 == 0
    scores[case] += [5, 0, -5]
    p = difference_p(scores, case, ONE_SITE[:40], 999, rng())
    assert p[[0, 2]].tolist() == [1 / 1000] * 2
    assert p[1] > 0.05


def test_p_does_not_depend_on_scale_level_or_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, case = rng().normal(size=(20, 4)), np.arange(20) % 3 == 0
    p = difference_p(scores, case, ONE_SITE[:20], 200, rng())
    assert difference_p(1e-6 * scores + 1, case, ONE_SITE[:20], 200, rng()).tolist() == p.tolist()
    monkeypatch.setattr(resampling, "_CELLS", 24 * 7)
    blocks = difference_p(scores, case, ONE_SITE[:20], 2000, rng())
    assert blocks == pytest.approx(p, abs=0.1)
    assert len(set((blocks * 2001).round(6) % 1)) <= 2  # whole numbers of 2000 shuffles


@pytest.mark.filterwarnings("error")
def test_without_spread_p_is_one_and_without_a_label_there_is_none() -> None:
    scores = np.full((12, 4), 0.1)
    scores[2:7, 1] = np.nan  # rounding of other counts is no difference
    case = np.arange(12) % 3 == 0
    scores[case, 2], scores[:, 3] = np.nan, np.nan
    p = difference_p(scores, case, ONE_SITE[:12], 300, rng())
    assert p.tolist() == pytest.approx([1, 1, np.nan, np.nan], nan_ok=True)
    assert np.isnan(difference_p(np.zeros((0, 2)), np.zeros(0, bool), ONE_SITE[:0], 10, rng())).all()


def test_a_shuffle_that_leaves_a_label_without_a_score_counts_as_reaching() -> None:
    """Two of four subjects are scored; in a third of labellings both have the same label, in the others +-9 is seen."""
    scores = np.array([[0.0], [9], [np.nan], [np.nan]])
    assert difference_p(scores, np.array([1, 0, 1, 0], bool), ONE_SITE[:4], 500, rng()) == [1.0]


def test_p_is_adjusted_over_what_was_tested() -> None:
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.5])
    found = adjusted(p)
    assert np.isnan(found[1])
    assert found[[0, 2, 3, 4]].tolist() == false_discovery_control(p[[0, 2, 3, 4]]).tolist()
    assert np.isnan(adjusted(np.full(2, np.nan))).all()


def test_the_largest_has_rank_one_and_the_unknown_none() -> None:
    assert rank(np.array([2.0, np.nan, 5, 2, -1])).astype(object).fillna(0).tolist() == [2, 0, 1, 2, 4]
