"""Signals with which a cluster asks a job to stop, and how a job puts itself back in the queue."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ASKING = (signal.SIGTERM, signal.SIGUSR1)
"""What schedulers send before they kill: SIGTERM on preemption, SIGUSR1 where `--signal` of sbatch asks for it."""


class Asked:
    """Notes that the process was asked to stop; whoever trains looks here between two steps."""

    def __init__(self) -> None:
        self.by: str | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals, and give them back in the end."""
        before = {number: signal.getsignal(number) for number in ASKING}
        self.listen()
        try:
            yield
        finally:
            if _may_listen():
                for number, handler in before.items():
                    signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals from whoever has them: Lightning's handlers save in the middle of a step."""
        if _may_listen():
            for number in ASKING:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: Any) -> None:
        self.by = signal.Signals(number).name


def requeue() -> bool:
    """Put the SLURM job that this is back in the queue; False outside SLURM, or where SLURM refuses."""
    job = os.environ.get("SLURM_JOB_ID")
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    if job is None:
        return False
    try:
        return subprocess.run(["scontrol", "requeue", job], check=False).returncode == 0  # noqa: S603, S607
    except OSError:
        return False


def _may_listen() -> bool:
    return threading.current_thread() is threading.main_thread()
