import numpy as np
import pytest
from scipy.stats import spearmanr

from fmrifm.attribution.spoilt import group_value, spoilt_checks

PLANTED = np.array([True, True, False, False, False, False])


def test_group_values_are_the_mean_or_half_the_difference_of_what_is_known() -> None:
    scores = np.array([[1.0, 5.0], [3.0, np.nan], [4.0, 0.0], [8.0, 2.0]])
    assert group_value(scores, None).tolist() == [4.0, 7 / 3]
    assert group_value(scores, np.array([True, True, False, False])).tolist() == [-2.0, 2.0]
    assert np.isnan(group_value(np.full((2, 1), np.nan), None)).all()


def test_a_ranking_that_outlives_its_weights_is_told_by_both_figures() -> None:
    ranking = np.array([9.0, 8.0, 3.0, 2.0, 1.0, 0.0])
    rows = spoilt_checks("randomised_weights", "rollout", ranking, np.stack([ranking, 2 * ranking]), PLANTED)
    assert rows["check"].tolist() == ["randomised_weights", "planted_randomised_weights"]
    assert rows["value"].tolist() == [1.0, 1.0]
    assert rows["expected"].tolist() == [0.0, 0.5]
    assert rows["low"].tolist() == rows["high"].tolist() == [1.0, 1.0]


def test_figures_are_means_over_the_counterparts_without_regions_that_do_not_count() -> None:
    rng = np.random.default_rng(0)
    ranking, spoilt = rng.normal(size=6), rng.normal(size=(4, 6))
    ranking[5] = spoilt[:, 4] = np.nan
    row = spoilt_checks("permuted_labels", "occlusion", ranking, spoilt, None)
    expected = [spearmanr(ranking[:4], one[:4]).statistic for one in spoilt]
    assert row["value"].tolist() == [pytest.approx(np.mean(expected))]
    half = 1.96 * np.std(expected, ddof=1) / 2
    assert row["high"].iloc[0] == pytest.approx(np.mean(expected) + half)
