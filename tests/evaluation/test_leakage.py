from typing import Any

import pandas as pd
import pytest

from fmrifm.evaluation.leakage import SUSPICIOUS_AUC, leaks
from fmrifm.evaluation.metrics import Score
from fmrifm.evaluation.splits import Fold

CLEAN: dict[str, Any] = {
    "pretraining": ("x", "y"),
    "folds": [Fold(train=("a", "b"), test=("c", "d")), Fold(train=("c", "d"), test=("a", "b"))],
    "scans": pd.DataFrame({"subject": ["a", "a", "b", "c", "d"], "sha256": ["0", "1", "2", "3", "4"]}),
    "auc": Score(0.62, 0.5, 0.7, 4),
    "synthetic": False,
}


def test_an_honest_trial_raises_no_alarm() -> None:
    assert leaks(**CLEAN) == []
    assert leaks(**{**CLEAN, "scans": CLEAN["scans"][["subject"]]}) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pretraining": ("a", "c", "y")}, "2 of 4 test subjects were in the pretraining set"),
        ({"folds": [Fold(train=("a", "b"), test=("b", "c"))]}, "Subjects on both sides of a fold: b."),
        (
            {"scans": pd.DataFrame({"subject": ["a", "b", "c"], "sha256": ["0", "0", "1"]})},
            "1 scans appear under more than one subject identifier.",
        ),
        ({"auc": Score(0.93, 0.9, 0.96, 4)}, f"AUC 0.93 is above {SUSPICIOUS_AUC}"),
    ],
)
def test_each_leak_is_named_alone(change: dict[str, Any], told: str) -> None:
    (sentence,) = leaks(**{**CLEAN, **change})
    assert sentence.startswith(told)


def test_one_subject_may_hold_the_same_scan_twice() -> None:
    twice = pd.DataFrame({"subject": ["a", "a", "b"], "sha256": ["0", "0", "1"]})
    assert leaks(**{**CLEAN, "scans": twice}) == []


def test_a_planted_difference_may_be_strong() -> None:
    assert leaks(**{**CLEAN, "auc": Score(0.99, 0.9, 1.0, 4), "synthetic": True}) == []


def test_an_undefined_score_is_no_leak() -> None:
    nothing = float("nan")
    assert leaks(**{**CLEAN, "auc": Score(nothing, nothing, nothing, 4)}) == []
