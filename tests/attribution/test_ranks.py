import numpy as np
import pytest
from scipy.stats import spearmanr

from fmrifm.attribution.ranks import chance_overlap, overlap, spearman, spearman_interval


def test_only_regions_that_both_know_are_compared() -> None:
    first, second = np.array([1.0, 2, 3, np.nan, 9]), np.array([1.0, 3, 2, 50, np.nan])
    assert spearman(first, second) == pytest.approx(0.5)
    assert overlap(first, second, 2) == 1
    assert overlap(first, second, 1) == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("other", [[1.0, 1, 1, 1], [np.nan] * 4, [np.nan, np.nan, 1, 2]])
def test_a_constant_or_unknown_ranking_has_no_correlation(other: list[float]) -> None:
    assert np.isnan(spearman(np.arange(4.0), np.array(other)))
    assert np.isnan(spearman(np.array(other), np.arange(4.0)))


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.85])
def test_the_interval_holds_the_truth_in_95_of_100_samples(rho: float) -> None:
    """Spearman of a bivariate normal is 6 / pi asin(r / 2)."""
    rng, R = np.random.default_rng(0), 166
    first, noise = rng.normal(size=(2, 600, R))
    second = rho * first + np.sqrt(1 - rho**2) * noise
    truth = 6 / np.pi * np.arcsin(rho / 2)
    intervals = np.array([spearman_interval(spearman(*pair), R) for pair in zip(first, second, strict=True)])
    held = ((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])).mean()
    assert 0.92 < held < 0.98


@pytest.mark.filterwarnings("error")
def test_the_interval_by_hand_and_at_its_ends() -> None:
    low, high = spearman_interval(0.6, 30)
    half = 1.959964 * np.sqrt((1 + 0.18) / 27)
    assert (low, high) == pytest.approx((np.tanh(np.arctanh(0.6) - half), np.tanh(np.arctanh(0.6) + half)))
    assert spearman_interval(1.0, 30) == (1, 1)
    assert spearman_interval(-1.0, 30) == (-1, -1)
    assert np.isnan([spearman_interval(np.nan, 30), spearman_interval(0.5, 3)]).all()


def test_overlap_is_the_share_of_leading_regions_that_both_name() -> None:
    first, second = np.arange(8.0), np.array([7.0, 0, 1, 2, 3, 4, 5, 6])
    assert [overlap(first, second, k) for k in (1, 2, 4, 8)] == [0, 0.5, 0.75, 1]
    assert overlap(first, -first, 4) == 0
    assert overlap(first, second, 20) == 1
    assert np.isnan(overlap(np.full(3, np.nan), np.ones(3), 2))


def test_ties_are_worth_what_a_random_order_gives() -> None:
    first, second = np.array([5.0, 1, 1, 1, 0, 0]), np.array([1.0, 1, 1, 2, 0, 0])
    rng, shared = np.random.default_rng(0), []
    for _ in range(4000):
        order = [np.argsort(-values + 1e-9 * rng.random(6))[:2] for values in (first, second)]
        shared.append(len(np.intersect1d(*order)) / 2)
    assert overlap(first, second, 2) == pytest.approx(np.mean(shared), abs=0.02)
    assert overlap(np.zeros(20), np.zeros(20), 5) == pytest.approx(chance_overlap(20, 5))


def test_random_rankings_share_what_chance_says() -> None:
    rng = np.random.default_rng(0)
    shared = [overlap(rng.random(40), rng.random(40), 10) for _ in range(1000)]
    assert np.mean(shared) == pytest.approx(chance_overlap(40, 10), abs=0.01) == pytest.approx(0.25, abs=0.01)
    assert chance_overlap(4, 10) == 1
    assert np.isnan(chance_overlap(0, 10))


def test_the_correlation_is_scipy_s() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 30)).round(1)
    assert spearman(first, second) == spearmanr(first, second).statistic
