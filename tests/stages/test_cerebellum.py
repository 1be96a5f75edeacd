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


def test_drawing_leaves_curves_of_every_variant(tmp_path):
    out = tmp_path / "run"
    assert main(["cerebellum", "linedraw", "--out", str(out), "--seeds", "2", "--epochs", "1"]) == 0
    assert {"curves.tsv", "summary.tsv", "learning.png", "drawings.png"} <= {file.name for file in out.iterdir()}
    assert len(pd.read_csv(out / "summary.tsv", sep="\t")) == 8
    curves = pd.read_csv(out / "curves.tsv", sep="\t")
    assert list(curves) == ["variant", "seed", "epoch", "error"]
    assert len(curves) == 8 * 2


@pytest.mark.parametrize(("task", "ways"), [("order", 8), ("digits", 5)])
def test_recall_leaves_curves_of_every_credit(tmp_path, task, ways):
    out = tmp_path / "run"
    assert main(["cerebellum", task, "--out", str(out), "--seeds", "1", "--epochs", "1"]) == 0
    summary = pd.read_csv(out / "summary.tsv", sep="\t")
    assert len(summary) == ways
    assert summary["last_mean"].between(0, 1).all()
