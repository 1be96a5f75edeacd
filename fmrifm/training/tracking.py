"""Where the curves of a pretraining go: Lightning's own loggers by name.

CSV is always written, since `fmrifm report` draws from it. Accounts, servers and offline modes are set as the users of
each service know them: WANDB_MODE, WANDB_ENTITY, MLFLOW_TRACKING_URI, ... in the environment.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from fmrifm.config import Tracker, TrackingConfig
from fmrifm.errors import ConfigError


def loggers(config: TrackingConfig, run: Path, settings: Mapping[str, Any]) -> list[Logger]:
    """Build the loggers of a run.

    Args:
        config: Which.
        run: Run folder; its logs/ holds what is written locally.
        settings: All settings of the run, kept with the curves by W&B and MLflow.

    Raises:
        ConfigError: The package of a service is not installed.
    """
    asked: list[Logger] = [CSVLogger(run, name="logs", version="")]
    for name in config.loggers:
        try:
            logger = _LOGGERS[name](config.project, run)
            if name in ("wandb", "mlflow"):
                logger.log_hyperparams(dict(settings))
        except ConfigError:
            raise
        except ModuleNotFoundError:
            raise ConfigError(
                f"tracking.loggers has {name}, whose package is not installed. pip install 'fmrifm[tracking]', or "
                "leave it out."
            ) from None
        except Exception as error:  # no server, no account, no permission: each service has its own
            said = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"tracking.loggers has {name}, which did not start ({said}). Mend that, or leave it out."
            ) from error
        asked.append(logger)
    return asked


def _mlflow(project: str, run: Path) -> Logger:
    if not (server := os.environ.get("MLFLOW_TRACKING_URI")):  # MLflow writes to plain folders no more
        raise ConfigError(
            "tracking.loggers has mlflow, and MLFLOW_TRACKING_URI is not set. Set it to your server, or to "
            "sqlite:///mlflow.db for a file of its own."
        )
    return MLFlowLogger(project, run_name=run.name, tracking_uri=server)


_LOGGERS: dict[Tracker, Callable[[str, Path], Logger]] = {
    "tensorboard": lambda project, run: TensorBoardLogger(run, name="logs", version=""),
    "wandb": lambda project, run: WandbLogger(name=run.name, save_dir=run / "logs", project=project),
    "mlflow": _mlflow,
}
