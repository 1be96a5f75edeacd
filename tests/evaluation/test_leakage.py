from typing import Any

import pandas as pd
import pytest

from fmrifm.evaluation.leakage import SUSPICIOUS_AUC, leaks
from fmrifm.evaluation.metrics import Score
from fmrifm.evaluation.splits import Fold

TWINS = pd.DataFrame({"subject": ["a", "b", "c", "d"], "signature": ["ff" * 8, "ff" * 7 + "fe", "0" * 16, "0f" * 8]})
COHORT = pd.DataFrame({"subject": list("abcdefghijkl"), "site": ["north"] * 6 + ["south"] * 6, "label": [0, 1] * 6})


def scored(**auc: float) -> dict[str, dict[str, Score]]:
    return {name: {"auc": Score(value, value - 0.1, value + 0.05, 4)} for name, value in auc.items()}


CLEAN: dict[str, Any] = {
    "pretraining": ("x", "y"),
    "folds": [Fold(train=("a", "b"), test=("c", "d")), Fold(train=("c", "d"), test=("a", "b"))],
    "scans": pd.DataFrame({"subject": ["a", "a", "b", "c", "d"], "sha256": ["0", "1", "2", "3", "4"]}),
    "auc": Score(0.62, 0.5, 0.7, 4),
    "synthetic": False,
    "baselines": scored(majority=0.5, site=0.58, phenotype=0.61, motion=0.55, connectome=0.85),
}


def test_an_honest_trial_raises_no_alarm() -> None:
    assert leaks(**CLEAN) == []
    assert leaks(**{**CLEAN, "scans": CLEAN["scans"][["subject"]]}) == []
    assert leaks(**{**CLEAN, "scans": COHORT, "baselines": None}) == []


def test_sites_of_a_few_subjects_may_hold_one_label_by_accident() -> None:
    few = COHORT.assign(site=[f"site {number // 2}" for number in range(12)], label=[0, 0, 1, 1] * 3)
    assert leaks(**{**CLEAN, "scans": few}) == []


def test_a_subject_that_is_not_tested_may_have_been_seen_and_a_twin_that_is_not_used_is_none() -> None:
    fold = Fold(train=("a", "b"), test=("c",))
    assert leaks(**{**CLEAN, "folds": [fold], "pretraining": ("a", "d")}) == []
    cohort = pd.DataFrame({"subject": ["a", "b", "c", "d", "z"], "sha256": ["0", "1", "2", "3", "3"]})
    assert leaks(**{**CLEAN, "folds": [fold], "pretraining": ("z",), "scans": cohort}) == []


def test_of_a_planted_difference_only_the_classifier_may_know() -> None:
    strong = {**CLEAN, "auc": Score(0.99, 0.9, 1.0, 4), "synthetic": True}
    (sentence,) = leaks(**{**strong, "baselines": scored(site=0.95, phenotype=0.7)})
    assert sentence.startswith("Site alone predicts")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pretraining": ("a", "c", "y")}, "2 of 4 test subjects were in the pretraining set"),
        ({"folds": [Fold(train=("a", "b"), test=("b", "c"))]}, "Subjects on both sides of a fold: b."),
        (
            {"scans": TWINS, "folds": [Fold(train=("a", "b"), test=("c", "d"))]},
            "Subjects who appear under more than one identifier, by their signal: a = b. They are kept on one side",
        ),
        (
            {"scans": TWINS, "folds": [Fold(train=("a", "c"), test=("b", "d"))]},
            "Subjects who appear under more than one identifier, by their signal: a = b. They are on both sides of a "
            "fold: a = b.",
        ),
        (
            {"cohort": pd.DataFrame({"subject": ["a", "b", "c", "d", "y"], "sha256": ["0", "1", "2", "3", "2"]})},
            "1 of 4 test subjects were in the pretraining set under another identifier (their scans, not their "
            "labels): c = y.",
        ),
        ({"scans": COHORT.assign(label=[0] * 6 + [1] * 6)}, "Site determines the label, since every site holds one"),
        (
            {"scans": COHORT.assign(label=[0] * 6 + [1] * 6), "baselines": scored(site=0.99, phenotype=0.7)},
            "Site alone predicts the label with AUC 0.99: no score on these folds shows that the brain was read.",
        ),
        ({"baselines": scored(motion=0.85)}, "Motion alone predicts the label with AUC 0.85: no score"),
        ({"baselines": scored(phenotype=0.9)}, "Phenotype alone predicts the label with AUC 0.90: no score"),
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
