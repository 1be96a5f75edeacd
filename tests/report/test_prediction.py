import json
from pathlib import Path

import pandas as pd
import pytest

from fmrifm.report.page import run_page
from fmrifm.report.prediction import prediction_section, prediction_summary
from fmrifm.report.runs import Run, read_runs
from tests.report.conftest import start_run


def write_predict(folder: Path, over_ar: float = 0.0625) -> Path:
    start_run(folder, "predict", {"scores": {}, "leakage": ["Filtered data: it leaks."]})
    skill = {"persistence": 0.5, "ar": over_ar, "var": 0.25}
    rows = [
        [circuit, reference, horizon, value / horizon, value / horizon - 0.01, value / horizon + 0.01, 21]
        for circuit in ("attention", "cerebellum", "ar")
        for reference, value in skill.items()
        for horizon in (1, 2, 3)
        if circuit != reference
    ]
    columns = ["circuit", "reference", "horizon", "skill", "ci_low", "ci_high", "n"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "skill.tsv", sep="\t", index=False)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return read_runs([write_predict(tmp_path / "predict")])[0]


def test_each_predictor_has_a_row_a_horizon_and_none_is_measured_over_itself(run: Run) -> None:
    (table,) = prediction_section(run, "Prediction").tables
    assert table.rows[0] == [
        "attention",
        "1",
        "0.500 (0.490 to 0.510)",
        "0.062 (0.052 to 0.072)",
        "0.250 (0.240 to 0.260)",
    ]
    assert [row[3] for row in table.rows[-3:]] == ["–", "–", "–"]
    assert len(table.rows) == 9


def test_a_pretrained_model_stands_before_what_it_is_measured_by(tmp_path: Path) -> None:
    path = write_predict(tmp_path / "predict")
    table = pd.read_csv(path / "skill.tsv", sep="\t")
    own = table[table["circuit"] == "attention"].assign(circuit="pretrained")
    pd.concat([table, own]).to_csv(path / "skill.tsv", sep="\t", index=False)
    (shown,) = prediction_section(read_runs([path])[0], "Prediction").tables
    names = list(dict.fromkeys(row[0] for row in shown.rows))
    assert names == ["attention", "cerebellum", "pretrained model", "each region's own past (AR)"]


def test_the_figure_shows_circuits_alone_and_says_every_value(run: Run) -> None:
    (figure,) = prediction_section(run, "Prediction").pictures
    assert [text.get_text() for text in figure.figure.legends[0].get_texts()] == ["attention", "cerebellum"]
    assert "cerebellum over persistence at 2: 0.25" in figure.svg


@pytest.mark.parametrize(("over_ar", "word"), [(0.0625, "better"), (-0.0625, "worse"), (0.0, "no better")])
def test_the_first_words_tell_whether_each_regions_past_is_beaten(tmp_path: Path, over_ar: float, word: str) -> None:
    (sentence,) = prediction_summary(read_runs([write_predict(tmp_path / "run", over_ar)])[0])
    assert f"attention predicts the next volume of held-out subjects {word} than" in sentence


def test_what_leaks_stands_in_red(run: Run) -> None:
    assert "Filtered data: it leaks." in run_page([run]).alarms


def test_a_run_without_the_table_is_a_heading(run: Run) -> None:
    (run.path / "skill.tsv").unlink()
    assert json.dumps([*prediction_section(run, "Prediction").tables]) == "[]"
    assert prediction_summary(run) == []
