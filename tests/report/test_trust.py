import math

import pytest

from fmrifm.report.runs import read_runs
from fmrifm.report.scores import Score
from fmrifm.report.trust import believed, trust_section, verdict


@pytest.mark.parametrize(
    ("check", "score", "words"),
    [
        ("randomised_weights", Score(0.05), "changes, as it should"),
        ("randomised_weights", Score(-0.9), "changes, as it should"),
        ("randomised_weights", Score(0.6), "changes in part"),
        ("permuted_labels", Score(0.85), "hardly changes: in doubt"),
        ("planted_permuted_labels", Score(0.8, 0.4, 1.0), "does not find it, as it should be"),
        ("randomised_weights", Score(0.75), "hardly changes: in doubt"),
        ("planted_permuted_labels", Score(0.75), "finds it all the same: in doubt"),
        ("planted_randomised_weights", Score(0.5), "does not find it, as it should be"),
        ("size", Score(-0.85), "follows it: in doubt"),
        ("size_mean", Score(0.5), "follows it in part"),
        ("tsnr", Score(0.1), "something else, as it should be"),
        ("agreement", Score(-0.9), "disagree"),
        ("agreement", Score(0.8), "agree"),
        ("deletion", Score(0.2, 0.1, 0.3), "better than random"),
        ("insertion", Score(0.2, -0.1, 0.5), "no better than random: in doubt"),
        ("completeness", Score(0.01), "adds up"),
        ("completeness", Score(0.3), "does not add up: in doubt"),
        ("size", Score(math.nan), "–"),
    ],
)
def test_every_check_has_a_plain_verdict(check, score, words):
    assert verdict(check, score) == words


def test_checks_stand_beside_each_ranking_with_words_figures_and_a_full_table(make_run):
    section = trust_section(make_run("attribute"))
    beside, every = section.tables
    assert beside.columns == [
        "method", "planted found (AUC)", "random weights", "permuted labels", "region size", "size, per voxel", "tSNR",
        "deletion", "insertion",
    ]  # fmt: skip
    assert beside.rows[0] == [
        "Occlusion", "0.97 (0.92 to 1.02)", "0.03", "0.01", "0.55", "0.02", "0.12", "0.30", "0.30"
    ]  # fmt: skip
    assert beside.rows[-1] == ["Rollout", "–", "0.95", "–", "0.55", "0.02", "0.12", "–", "–"]
    assert every.folded
    assert every.rows[6][:-1] == ["Rollout", "same order with random weights", "–", "0.95", "0.91 to 0.99", "0.0"]
    assert every.rows[6][-1] == "hardly changes: in doubt"
    assert [picture.caption.split()[0].strip(":") for picture in section.pictures] == [
        "Deletion",
        "Insertion",
        "Agreement",
        "Stability",
    ]


def test_a_ranking_that_fails_is_named_in_words(make_run):
    run = make_run("attribute")
    rollout, occlusion = believed(run, ["rollout", "occlusion"])
    assert rollout.startswith("Rollout's ranking changes little when the weights are randomised (Spearman .95)")
    assert occlusion.startswith("No check speaks against occlusion's ranking")
    assert {rollout, occlusion} <= set(trust_section(run).points)


def test_a_run_without_checks_says_nothing(make_run):
    run = make_run("attribute", old=True, planted=None)
    (run.path / "metrics.json").write_text("{}")
    (run,) = read_runs([run.path])
    assert trust_section(run) is None
    assert believed(run, ["occlusion"]) == []


def test_two_rankings_as_unlike_as_unrelated_ones_disagree_in_table_and_words():
    assert verdict("agreement", Score(0.6, -0.1, 0.9)) == "disagree"
    assert verdict("agreement", Score(0.4, 0.1, 0.6)) == "agree in part"
    assert verdict("agreement", Score(0.75, 0.5, 0.9)) == "agree"
