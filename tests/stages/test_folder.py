import hashlib
import json
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
import yaml
from lightning.pytorch.utilities import rank_zero_only

from fmrifm.config import AttributeConfig, OptimConfig
from fmrifm.data.store import Store
from fmrifm.errors import ConfigError, DataError
from fmrifm.evaluation.metrics import Score
from fmrifm.evaluation.splits import Fold
from fmrifm.stages.folder import plain, run_folder


@pytest.fixture
def store(store_path) -> Store:
    return Store(store_path)


@pytest.fixture
def config(store_path, tmp_path) -> AttributeConfig:
    return AttributeConfig(store=str(store_path), checkpoint="somewhere", out=str(tmp_path / "new" / "run"), seed=4)


def test_a_signed_run_says_where_its_figures_come_from(config, store):
    with run_folder("attribute", config, store) as run:
        run.device = "cuda:0"
    found = json.loads((run.path / "provenance.json").read_text())
    assert set(found) == {
        "stage", "command", "versions", "config_hash", "store", "store_fingerprint", "git_commit", "seed", "device",
        "started", "wall_time_s", "cohort",
    }  # fmt: skip
    assert (found["stage"], found["seed"], found["device"]) == ("attribute", 4, "cuda:0")
    assert found["command"] == f"fmrifm attribute --config {run.path / 'config.yaml'}"
    assert {"python", "fmrifm", "torch", "lightning", "nilearn"} <= set(found["versions"])
    settings = (run.path / "config.yaml").read_bytes()
    assert found["config_hash"] == hashlib.sha256(settings).hexdigest()[:16]
    assert found["store_fingerprint"] == store.fingerprint
    assert datetime.fromisoformat(found["started"]).tzinfo is not None
    assert found["cohort"] == {
        "name": "Tiny cohort", "synthetic": True, "atlas": "AAL3", "regions": 6, "rescued": [],
        "lost": ["Thal_Re_L"], "planted": [10, 20, 30],
    }  # fmt: skip


def test_the_command_is_what_was_typed(config, store, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/fmrifm", "attribute", "--out", "a run"])
    with run_folder("attribute", config, store) as run:
        pass
    assert json.loads((run.path / "provenance.json").read_text())["command"] == "fmrifm attribute --out 'a run'"


def test_settings_and_scans_are_there_from_the_start(config, store):
    with run_folder("attribute", config, store) as run:
        settings = yaml.safe_load((run.path / "config.yaml").read_text())
        assert (settings["seed"], settings["groups"]) == (4, 8)
        assert pd.read_csv(run.path / "scans.tsv", sep="\t")["scan"].tolist() == store.scans["scan"].tolist()
        assert not (run.path / "provenance.json").exists()


def test_metrics_have_the_four_parts_and_null_for_what_is_undefined(config, store):
    with run_folder("attribute", config, store) as run:
        score = Score(0.5, float("nan"), 0.75, 3)
        run.write_metrics({"auc": score}, baselines={"site": {}}, folds=[Fold(("a",), ("b",))], leakage=["Oh."])
    assert json.loads((run.path / "metrics.json").read_text()) == {
        "scores": {"auc": {"value": 0.5, "ci_low": None, "ci_high": 0.75, "n": 3}},
        "baselines": {"site": {}},
        "folds": [{"fold": 0, "train": ["a"], "test": ["b"], "repeat": 0}],
        "leakage": ["Oh."],
    }


def test_a_crash_leaves_the_run_unsigned(config, store):
    with pytest.raises(ZeroDivisionError), run_folder("attribute", config, store) as run:
        raise ZeroDivisionError
    assert {file.name for file in run.path.iterdir()} == {"config.yaml", "scans.tsv"}


def test_what_a_user_can_mend_leaves_nothing_behind(config, store):
    with pytest.raises(DataError), run_folder("attribute", config, store):
        raise DataError("no such column")
    assert not Path(config.out).exists()


def test_results_are_kept_whatever_comes_after(config, store):
    def fails_late() -> None:
        with run_folder("attribute", config, store) as run:
            (run.path / "regions.tsv").write_text("")
            raise DataError("no such column")

    with pytest.raises(DataError):
        fails_late()
    assert {file.name for file in Path(config.out).iterdir()} == {"config.yaml", "scans.tsv", "regions.tsv"}


@pytest.mark.parametrize(("stage", "hint"), [("pretrain", "--resume goes on"), ("attribute", "or remove it.$")])
def test_a_folder_that_holds_anything_is_refused(config, store, stage, hint):
    Path(config.out).mkdir(parents=True)
    (Path(config.out) / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=f"not empty. .*{hint}"), run_folder(stage, config, store):
        pass
    assert [file.name for file in Path(config.out).iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_taken_and_a_begun_one_only_to_resume(config, store):
    Path(config.out).mkdir(parents=True)
    for resume in (False, True):
        with run_folder("attribute", config, store, resume=resume):
            pass


def test_a_file_is_no_folder(config, store):
    Path(config.out).parent.mkdir()
    Path(config.out).write_text("")
    with pytest.raises(ConfigError, match="a file; expected a folder to write"), run_folder("attribute", config, store):
        pass


def test_further_processes_leave_the_folder_to_the_first(config, store, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    with run_folder("attribute", config, store) as run:
        assert str(run.path) == config.out
    assert not run.path.exists()


def test_settings_become_what_yaml_holds():
    given = {"a": (1, None, True), "b": {2: Path("x")}, "c": OptimConfig}
    assert plain(given) == {"a": [1, None, True], "b": {"2": repr(Path("x"))}, "c": repr(OptimConfig)}
