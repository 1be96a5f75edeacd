"""`fmrifm cerebellum TASK`: circuit models of the cerebellum on their own tasks, without scans."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from fmrifm.config import CerebellumConfig, CircuitTask
from fmrifm.stages.circuit_control import control
from fmrifm.stages.circuit_learning import linedraw, recall
from fmrifm.stages.folder import run_folder

TASKS: dict[CircuitTask, Callable[[CerebellumConfig, Path, Callable[[str], None]], None]] = {
    "linedraw": linedraw,
    "order": recall,
    "digits": recall,
    "control": control,
}


def cerebellum(config: CerebellumConfig) -> Path:
    """Run the task and return the run folder with its tables and figures."""
    console = Console(stderr=True, highlight=False, markup=False)
    with run_folder("cerebellum", config, None) as run:
        TASKS[config.task](config, run.path, console.print)
    return run.path
