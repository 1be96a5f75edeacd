import csv
import subprocess
import sys
from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from fmrifm.config import TrackingConfig
from fmrifm.errors import ConfigError
from fmrifm.training.tracking import loggers

SETTINGS = {"seed": 7, "masking": {"kind": "region"}}


def log(made: list, steps: int = 3) -> None:
    for logger in made:
        for step in range(steps):
            logger.log_metrics({"train/loss": 1.0 / (1 + step)}, step=step)
        logger.save()
        logger.finalize("success")


def test_by_default_curves_go_to_csv_and_tensorboard(tmp_path: Path) -> None:
    made = loggers(TrackingConfig(), tmp_path, SETTINGS)
    assert [type(logger) for logger in made] == [CSVLogger, TensorBoardLogger]
    log(made)
    with (tmp_path / "logs" / "metrics.csv").open() as file:
        assert [float(row["train/loss"]) for row in csv.DictReader(file)] == [1.0, 0.5, 1.0 / 3]
    assert list((tmp_path / "logs").glob("events.*"))


def test_csv_is_written_whatever_is_asked_for(tmp_path: Path) -> None:
    assert [type(logger) for logger in loggers(TrackingConfig(loggers=()), tmp_path, SETTINGS)] == [CSVLogger]


def test_mlflow_keeps_curves_and_settings_under_the_name_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # else it wants a server, or SQL
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server := f"file:{tmp_path / 'mlruns'}")
    run = tmp_path / "my run"
    log(loggers(TrackingConfig(loggers=("mlflow",), project="masking"), run, SETTINGS))
    client = MlflowClient(server)
    (found,) = client.search_runs([client.get_experiment_by_name("masking").experiment_id])
    assert found.info.run_name == "my run"
    assert found.data.params == {"seed": "7", "masking/kind": "region"}
    assert [point.value for point in client.get_metric_history(found.info.run_id, "train/loss")] == [1.0, 0.5, 1.0 / 3]


@pytest.mark.parametrize(
    ("server", "said"), [("", "MLFLOW_TRACKING_URI is not set"), ("nonsense://there", "mlflow, which did not start")]
)
def test_a_service_that_cannot_start_is_named(
    server: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    with pytest.raises(ConfigError, match=said):
        loggers(TrackingConfig(loggers=("mlflow",)), tmp_path, SETTINGS)


def test_weights_and_biases_writes_offline_what_can_be_sent_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    made = loggers(TrackingConfig(loggers=("wandb",)), tmp_path / "run", SETTINGS)
    log(made)
    made[1].experiment.finish()
    assert list((tmp_path / "run" / "logs").rglob("*.wandb"))


def test_a_service_that_is_not_installed_is_named(tmp_path: Path) -> None:
    """In a process of its own, in which the packages cannot be imported."""
    code = (
        "import sys; sys.modules['wandb'] = None; sys.modules['mlflow'] = None\n"
        "import lightning.pytorch.loggers.wandb as w, lightning.pytorch.loggers.mlflow as m\n"
        "from lightning_utilities.core.imports import RequirementCache\n"
        "import os; os.environ['MLFLOW_TRACKING_URI'] = 'sqlite:///mlflow.db'\n"
        "w._WANDB_AVAILABLE = m._MLFLOW_AVAILABLE = RequirementCache('no-such-package')\n"
        "from pathlib import Path\n"
        "from fmrifm.config import TrackingConfig\n"
        "from fmrifm.training.tracking import loggers\n"
        "from fmrifm.errors import ConfigError\n"
        "for name in ('wandb', 'mlflow'):\n"
        "    try: loggers(TrackingConfig(loggers=(name,)), Path(sys.argv[1]), {})\n"
        "    except ConfigError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split(",")[0] for line in said] == ["tracking.loggers has wandb", "tracking.loggers has mlflow"]
    assert all("pip install 'fmrifm[tracking]'" in line for line in said)
