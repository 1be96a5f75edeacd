from pathlib import Path

import pandas as pd
import pytest

from fmrifm.report.circuits import circuit_section, learning_curves
from fmrifm.report.page import run_page
from fmrifm.report.runs import Run, read_runs
from tests.report.conftest import start_run


def curves(measure: str) -> pd.DataFrame:
    """Two variants of three seeds and four passes; the second is twice as far."""
    rows = [
        [variant, seed, epoch, far * (seed + 1) / epoch]
        for variant, far in (("alone", 1.0), ("with cerebellum", 2.0))
        for seed in range(3)
        for epoch in (1, 2, 3, 4)
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "epoch", measure])


@pytest.fixture
def learning(tmp_path: Path) -> Run:
    path = tmp_path / "order"
    start_run(path, "cerebellum", {})
    (path / "config.yaml").write_text("task: order\n")
    curves("accuracy").to_csv(path / "curves.tsv", sep="\t", index=False)
    pd.DataFrame({"variant": ["alone"], "best_mean": [0.5]}).to_csv(path / "summary.tsv", sep="\t", index=False)
    return read_runs([path])[0]


@pytest.fixture
def control(tmp_path: Path) -> Run:
    path = tmp_path / "control"
    start_run(path, "cerebellum", {})
    rules = ("forward-model trace", "no trace")
    trials = [["inertia, track", rule, trial, 1 / trial] for rule in rules for trial in (1, 2, 3)]
    columns = ["loop", "rule", "trial", "rmse"]
    pd.DataFrame(trials, columns=columns).to_csv(path / "trials.tsv", sep="\t", index=False)
    ends = [["inertia, track", rule, 0.25, 0.125] for rule in rules]
    columns = ["loop", "rule", "rmse", "rmse_floor"]
    pd.DataFrame(ends, columns=columns).to_csv(path / "summary.tsv", sep="\t", index=False)
    return read_runs([path])[0]


def test_learning_is_the_median_over_seeds_with_each_seed_behind_it() -> None:
    (axes,) = learning_curves(curves("accuracy")).axes
    bold = [line for line in axes.lines if line.get_linewidth() > 1]
    assert [line.get_label() for line in bold] == ["alone", "with cerebellum"]
    assert bold[1].get_ydata().tolist() == [4.0, 2.0, 4 / 3, 1.0]
    assert len(axes.lines) == 2 * (1 + 3)


@pytest.mark.parametrize(("measure", "scale"), [("error", "log"), ("accuracy", "linear")])
def test_errors_stand_on_a_logarithmic_axis_and_accuracy_does_not(measure: str, scale: str) -> None:
    (axes,) = learning_curves(curves(measure)).axes
    assert axes.get_yscale() == scale


def test_a_learning_run_shows_its_curves_and_where_they_ended(learning: Run) -> None:
    section = circuit_section(learning, "Cerebellum")
    assert section.sentences[0].startswith("Which of two patterns came first")
    assert section.tables[0].columns == ["variant", "best mean"]
    assert section.tables[0].rows == [["alone", "0.5"]]
    (drawn,) = section.pictures
    assert "alone: 0.5; with cerebellum: 1" in drawn.svg


def test_a_control_run_shows_a_panel_a_loop_and_what_least_squares_leaves(control: Run) -> None:
    (drawn,) = circuit_section(control, "Cerebellum").pictures
    panel = drawn.figure.axes[0]
    assert panel.get_title(loc="left") == "inertia, track"
    assert [line.get_label() for line in panel.lines] == ["forward-model trace", "no trace", "least squares"]
    assert panel.lines[-1].get_ydata()[0] == 0.125
    assert "mathdefault" not in drawn.svg


def test_a_page_on_circuits_alone_is_named_after_the_runs(learning: Run, control: Run) -> None:
    page = run_page([learning, control])
    assert page.title == "order and control"
    assert {"Cerebellum: order", "Cerebellum: control"} <= {section.title for section in page.sections}
