import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import fmrifm
from fmrifm.cli import main
from fmrifm.data.store import Store
from fmrifm.recipes import SETTINGS

TINY = """
tokens: {window_volumes: 8, patch_volumes: 4, edge_voxels: 2, grow_mm: 0}
model: {width: 24, layers: 1, heads: 2, queries: 8}
data: {windows_per_scan: 1}
trainer: {accelerator: cpu}
"""


@pytest.fixture
def words(store: Store, tmp_path: Path) -> list[str]:
    """A pretraining that takes seconds."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    recipe, run = tmp_path / "tiny.yaml", tmp_path / "run"
    return ["pretrain", "--config", str(recipe), "--store", str(store.path), "--out", str(run)]


@pytest.mark.parametrize("command", SETTINGS)
def test_every_command_has_a_help(command: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr()
    assert f"usage: fmrifm {command}" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_the_overview_names_every_command(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    for command, settings in SETTINGS.items():
        assert f"  {command:<10} {(settings.__doc__ or '').splitlines()[0]}" in lines


def test_it_knows_its_version(capsys: pytest.CaptureFixture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fmrifm {fmrifm.__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dance"], "fmrifm dance: no such command. Commands: demo, prepare, pretrain,"),
        (["pretrain", "--nonsense", "1"], "fmrifm pretrain: "),
        (["pretrain", "--config", "absent"], "fmrifm pretrain: --config absent: no such file"),
        (["pretrain", "--store", "absent", "--out", "run"], "fmrifm pretrain: absent: no store here."),
        (["prepare", "--source", "dvd", "--root", "a", "--out", "b"], "fmrifm prepare: "),
        (["report", "--run", "absent", "--out", "b.html"], "nothing there; expected a run folder"),
        (["info", "absent"], "fmrifm info: absent"),
    ],
)
def test_what_a_user_can_mend_is_one_sentence_and_status_2(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""
    assert not list(tmp_path.iterdir())


def test_our_own_bugs_keep_their_traceback(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmrifm.stages.pretrain.split_subjects", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(words)


def test_a_stage_runs_with_recipe_and_options_and_its_path_is_printed(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main([*words, "--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "run")
    about = json.loads((tmp_path / "run" / "checkpoints" / "last.json").read_text())["about"]
    assert about["epoch"] == 0


@pytest.mark.slow
def test_two_processes_train_together_and_nothing_but_progress_is_printed(words: list[str], tmp_path: Path) -> None:
    command = [*words, "--trainer.max_epochs", "1", "--trainer.devices", "2"]
    done = subprocess.run([sys.executable, "-m", "fmrifm", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert str(tmp_path / "run") in done.stdout
    assert "Warning" not in done.stdout
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert provenance["command"].startswith(f"fmrifm pretrain --config {tmp_path}")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["auto", "fsdp"])
def test_two_processes_learn_what_one_learns(strategy: str, words: list[str], tmp_path: Path) -> None:
    """Gloo on the processor. Epochs end with shares that must be filled up, and windows differ in covered voxels."""
    logs = []
    losses = ["--loss.region", "0.5", "--loss.connectivity", "0.5"]
    for devices, how in ((1, "auto"), (2, strategy)):
        out = tmp_path / f"{devices}"
        where = ["--out", str(out), "--trainer.devices", str(devices), "--trainer.strategy", how]
        steps = ["--optim.batch_size", "4", "--trainer.max_epochs", "25", "--trainer.log_every_n_steps", "1"]
        command = [*words, *where, *steps, *losses]
        done = subprocess.run([sys.executable, "-m", "fmrifm", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        logs.append(pd.read_csv(out / "logs" / "metrics.csv").set_index("step").sort_index())
    curves = [name for name in logs[0] if name.startswith(("train/loss", "val/r2"))]
    assert len(curves) == 6
    for name in curves:
        one, two = (log[name].dropna() for log in logs)
        assert len(one) >= (50 if name.startswith("train") else 25)
        assert one.nunique() > 20
        pd.testing.assert_series_equal(one, two, atol=1e-5, rtol=0)


def test_the_overview_needs_no_pytorch() -> None:
    code = "import sys; from fmrifm.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
