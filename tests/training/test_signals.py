import os
import signal
from pathlib import Path

import pytest

from fmrifm.training.signals import Asked, requeue


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_noted_and_the_handlers_are_given_back(number):
    before, asked = signal.getsignal(number), Asked()
    with asked.listening():
        assert asked.by is None
        signal.raise_signal(number)
        assert asked.by == number.name
    assert signal.getsignal(number) == before


def scontrol(folder: Path, code: int) -> Path:
    """A stand-in for SLURM's command that notes how it was called."""
    command, calls = folder / "scontrol", folder / "calls"
    command.write_text(f'#!/bin/sh\necho "$@" >> {calls}\nexit {code}\n')
    command.chmod(0o755)
    return calls


def test_a_job_puts_itself_back_in_the_queue(tmp_path, monkeypatch):
    calls = scontrol(tmp_path, 0)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    assert not requeue()
    assert not calls.exists()
    monkeypatch.setenv("SLURM_JOB_ID", "71")
    assert requeue()
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "70")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert requeue()
    assert calls.read_text() == "requeue 71\nrequeue 70_3\n"
    scontrol(tmp_path, 1)
    assert not requeue()
