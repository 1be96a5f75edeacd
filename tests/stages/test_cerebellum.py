import pandas as pd
import pytest

from fmrifm.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("cerebellum") / "control"
    assert main(["cerebellum", "control", "--out", str(out), "--trials", "20"]) == 0
    return out


def test_it_leaves_tables_and_figures(run):
    assert {file.name for file in run.iterdir()} == {
        "config.yaml", "provenance.json", "summary.tsv", "trials.tsv", "learning.png", "neurofeedback.png",
    }  # fmt: skip


def test_anticipation_beats_feedback_in_every_loop_and_never_the_floor(run):
    table = pd.read_csv(run / "summary.tsv", sep="\t")
    ours = table[table["rule"] == "forward-model trace"]
    assert (ours["share_of_feedback"] < 0.5).all()
    assert (ours["rmse"] >= 0.99 * ours["rmse_floor"]).all()


def test_every_trial_has_its_error(run):
    trials = pd.read_csv(run / "trials.tsv", sep="\t")
    assert trials.groupby(["loop", "rule"]).size().unique().tolist() == [20, 60]


def test_another_task_is_refused(capsys, tmp_path):
    assert main(["cerebellum", "dance", "--out", str(tmp_path / "run")]) == 2
    assert "dance" in capsys.readouterr().err
