import math

import pytest

from fmrifm.report.scores import Score, best, headline, ordered, verdict


@pytest.mark.parametrize(
    ("ours", "verdict_"),
    [
        (Score(0.80, 0.75, 0.85), "better than"),
        (Score(0.72, 0.66, 0.78), "no better than"),  # higher, but the intervals overlap
        (Score(0.40, 0.30, 0.50), "no better than"),
        (Score(0.99), "no better than"),  # without an interval nothing is shown
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
    assert ordered(scores) == ["balanced_accuracy", "auc", "novel"]
    assert headline(scores) == "auc"
    assert headline({"r2_voxel": Score(0.1)}) is None
