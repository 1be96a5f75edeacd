import numpy as np
import pytest
from scipy.stats import spearmanr

from fmrifm.attribution.ranks import spearman, spearman_interval


def test_only_regions_that_both_rankings_know_are_compared() -> None:
    first = np.array([1.0, 2, 3, 4, 5, np.nan])
    second = np.array([2.0, 1, 4, 3, np.nan, 9])
    assert spearman(first, second) == pytest.approx(0.6)
    assert np.isnan(spearman(first[:3], second[:3]))
    assert np.isnan(spearman(np.ones(6), first))


def test_the_interval_holds_the_truth_in_19_of_20_draws() -> None:
    rng, inside = np.random.default_rng(0), 0
    truth = 6 / np.pi * np.arcsin(0.6 / 2)  # Spearman's rho of a normal pair with r = .6
    for _ in range(400):
        x = rng.normal(size=60)
        y = 0.6 * x + 0.8 * rng.normal(size=60)
        low, high = spearman_interval(float(spearmanr(x, y).statistic), 60)
        inside += low <= truth <= high
    assert inside / 400 == pytest.approx(0.95, abs=0.03)
