import numpy as np
import pandas as pd
import pytest

from fmrifm.attribution.sanity import agreement_checks, ranking_checks, verdicts

RNG = np.random.default_rng(0)
VOXELS = RNG.integers(1, 500, 166)


def checks(method: str = "occlusion", **values: float) -> pd.DataFrame:
    """Rows of checks.tsv; `deletion` is its lower end too."""
    good = {"randomised_weights": 0.1, "permuted_labels": 0.0, "size": 0.3, "deletion": 0.2} | values
    rows = [{"method": method, "check": name, "value": value, "low": value} for name, value in good.items()]
    return pd.DataFrame(rows)


def test_a_ranking_that_is_only_size_is_said_to_be_so() -> None:
    per_voxel = RNG.normal(1, 0.1, 166)
    rows = ranking_checks("rollout", per_voxel * VOXELS, per_voxel, VOXELS, None).set_index("check")
    assert rows.loc["size", "value"] > 0.95
    assert abs(rows.loc["size_mean", "value"]) < 0.2
    assert rows.loc["size", "low"] < rows.loc["size", "value"] < rows.loc["size", "high"]
    (sentence,) = verdicts(rows.reset_index())
    assert sentence.startswith("Rollout: the ranking follows region size (rank correlation 0.9")
    assert "per-voxel" in sentence


def test_a_ranking_by_signal_quality_is_said_to_be_so() -> None:
    tsnr = RNG.normal(size=166)
    rows = ranking_checks("fidelity", tsnr + 0.1 * RNG.normal(size=166), tsnr, VOXELS, tsnr)
    assert rows["check"].tolist() == ["size", "size_mean", "tsnr"]
    assert "temporal signal-to-noise" in verdicts(rows)[0]


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        ({"randomised_weights": 0.99}, "hardly changes when weights are randomised (0.99)"),
        ({"permuted_labels": 0.85}, "hardly changes when labels are permuted"),
        ({"planted_permuted_labels": 0.9}, "finds what was planted also when labels are permuted (AUC 0.90)"),
        ({"deletion": -0.01}, "costs the classifier no more"),
    ],
)
def test_each_failed_check_is_a_reason_to_doubt(spoilt: dict[str, float], words: str) -> None:
    (sentence,) = verdicts(checks(**spoilt))
    assert words in sentence


def test_a_ranking_that_passes_is_said_to_and_one_that_was_not_checked_is_not() -> None:
    assert verdicts(checks()) == ["Occlusion: no check speaks against it."]
    assert verdicts(checks().iloc[2:3]) == []


def test_every_two_methods_are_compared_once() -> None:
    ranking = RNG.normal(size=30)
    rows = agreement_checks({"a": ranking, "b": -ranking, "c": ranking**3})
    assert rows[["method", "other"]].to_numpy().tolist() == [["a", "b"], ["a", "c"], ["b", "c"]]
    assert rows["value"].tolist() == pytest.approx([-1, 1, -1])
    assert verdicts(rows) == []
