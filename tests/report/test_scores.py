import math

import pytest

from fmrifm.report.scores import Difference, Score, best, headline, in_sentence, ordered, p_value, span, verdict


@pytest.mark.parametrize(
    ("ours", "verdict_"),
    [
        (Score(0.80, 0.75, 0.85), "better"),
        (Score(0.72, 0.66, 0.78), "no better"),  # higher, but the intervals overlap
        (Score(0.40, 0.30, 0.50), "no better"),
        (Score(0.99), "no better"),  # without an interval nothing is shown
    ],
)
def test_better_means_that_the_intervals_do_not_overlap(ours, verdict_):
    assert verdict(ours, Score(0.65, 0.60, 0.70)) == verdict_


def test_a_score_is_written_with_its_interval_and_count():
    score = Score(0.712, 0.65, 0.77, 120)
    assert str(score) == "0.71 (0.65 to 0.77)"
    assert score.full() == "0.71 (95 % interval 0.65 to 0.77, n = 120)"
    assert str(Score(0.5)) == Score(0.5).full() == "0.50"


@pytest.mark.parametrize("entry", [None, {}, {"value": None, "ci_low": None, "n": None}])
def test_an_unknown_score_is_a_dash(entry):
    score = Score.from_json(entry)
    assert math.isnan(score.value)
    assert str(score) == "–"


def test_the_best_baseline_has_the_highest_value_of_the_metric():
    baselines = {"a": {"auc": Score(0.5)}, "b": {"auc": Score(0.7)}, "c": {"other": Score(0.9)}}
    assert best(baselines, "auc") == "b"
    assert best({}, "auc") is None


def test_metrics_come_in_reading_order_and_auc_is_the_headline():
    scores = {"novel": Score(1), "auc": Score(0.7), "balanced_accuracy": Score(0.6)}
    assert ordered(scores) == ["auc", "balanced_accuracy", "novel"]
    assert headline(scores) == "auc"
    assert headline({"r2_voxel": Score(0.1)}) is None


@pytest.mark.parametrize(
    ("low", "high", "metric", "verdict_"),
    [
        (0.01, 0.2, "auc", "better"),
        (0.0, 0.2, "auc", "no better"),
        (-0.2, -0.01, "auc", "worse"),
        (-0.2, -0.01, "brier", "better"),
        (0.01, 0.2, "brier", "worse"),
        (math.nan, math.nan, "auc", "no better"),
    ],
)
def test_a_difference_is_judged_by_whether_its_interval_leaves_out_zero(low, high, metric, verdict_):
    assert Difference(value=0.1, ci_low=low, ci_high=high).verdict(metric) == verdict_


def test_a_difference_is_written_with_its_sign_interval_and_p():
    difference = Difference.from_json({"value": 0.0312, "ci_low": -0.01, "ci_high": 0.07, "p": 0.0004, "n": 30.0})
    assert str(difference) == "+0.031 (−0.010 to 0.070)"
    assert difference.full() == "+0.031, −0.010 to 0.070, p < 0.001"
    assert (difference.n, math.isnan(difference.smallest)) == (30, True)


def test_permutation_p_stands_beside_the_first_mention_of_a_score():
    score = Score.from_json({"value": 0.7, "ci_low": 0.6, "ci_high": 0.8, "n": 9, "p": 0.012})
    assert score.full() == "0.70 (95 % interval 0.60 to 0.80, n = 9, permutation p = 0.012)"
    assert p_value(math.nan) == "p = –"


def test_names_of_metrics_start_small_inside_a_sentence_unless_they_are_short_forms():
    names = {metric: in_sentence(metric) for metric in ("auc", "brier", "r2_voxel")}
    assert names == {"auc": "AUC", "brier": "brier score (lower is better)", "r2_voxel": "R² of hidden voxels"}


def test_a_span_is_one_value_where_its_ends_look_the_same():
    assert span([0.101, math.nan, 0.104]) == "0.10"
    assert span([0.3, 0.1]) == "0.10 to 0.30"
    assert span([math.nan]) == ""
