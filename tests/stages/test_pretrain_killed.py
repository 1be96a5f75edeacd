import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

TINY = """
tokens: {window_volumes: 8, patch_volumes: 4, edge_voxels: 3}
model: {width: 24, layers: 1, heads: 2, queries: 16}
optim: {batch_size: 2}
data: {windows_per_scan: 4}
validation: 0.2
save_every: 7
trainer: {accelerator: cpu, enable_progress_bar: false, log_every_n_steps: 1}
"""
STUB = '#!/bin/sh\necho "$@" >> {calls}\n'


def words(folder: Path, store: Path, epochs: int) -> list[str]:
    """A pretraining of 20 steps an epoch."""
    (recipe := folder / "tiny.yaml").write_text(TINY)
    return ["pretrain", "--config", str(recipe), "--store", str(store), "--trainer.max_epochs", str(epochs)]


def call(command: list[str], out: Path, **variables: str) -> subprocess.Popen[str]:
    resume = ["--resume"] if (out / "config.yaml").exists() else []
    command = [sys.executable, "-m", "fmrifm", *command, "--out", str(out), *resume]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")} | variables
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
    )


def stop(process: subprocess.Popen[str], out: Path, after: float, number: signal.Signals) -> None:
    """Send a signal so many seconds after a state has been saved anew, or the process has ended."""
    state = out / "checkpoints" / "resume.ckpt"
    before = state.stat().st_mtime_ns if state.exists() else 0
    while process.poll() is None and (state.stat().st_mtime_ns if state.exists() else 0) == before:
        time.sleep(0.01)
    time.sleep(after)
    if process.poll() is None:
        os.killpg(process.pid, number)
    process.wait()


def assert_same(one: Path, other: Path) -> None:
    ours, theirs = (load_file(run / "checkpoints" / "last.safetensors") for run in (one, other))
    assert [name for name in theirs if ours[name].numpy().tobytes() != theirs[name].numpy().tobytes()] == []
    assert (one / "metrics.json").read_text() == (other / "metrics.json").read_text()


def undisturbed(folder: Path, store: Path, epochs: int) -> Path:
    out = folder / "whole"
    assert call(words(folder, store, epochs), out).wait(timeout=300) == 0
    return out


@pytest.fixture(scope="module")
def two_epochs(store_path, tmp_path_factory) -> Path:
    return undisturbed(tmp_path_factory.mktemp("whole"), store_path, 2)


def kill(folder: Path, store: Path, kills: int, epochs: int) -> Path:
    """Kill a run so many times, let it end, and return its folder."""
    command, rng, killed = words(folder, store, epochs), np.random.default_rng(0), 0
    for _ in range(kills):
        process = call(command, out := folder / "killed")
        stop(process, out, rng.uniform(0, 0.15), signal.SIGKILL)
        killed += process.returncode == -signal.SIGKILL
    assert killed >= kills * 3 // 4  # the others had come to their end
    assert call(command, out).wait(timeout=300) == 0
    return out


def test_killed_once_it_ends_with_the_weights_of_an_undisturbed_run(store_path, two_epochs, tmp_path):
    assert_same(kill(tmp_path, store_path, kills=1, epochs=2), two_epochs)


@pytest.mark.slow
def test_killed_twenty_times_it_ends_with_the_weights_of_an_undisturbed_run(store_path, tmp_path):
    whole = undisturbed(tmp_path, store_path, 10)
    assert_same(kill(tmp_path, store_path, kills=20, epochs=10), whole)


def test_a_job_that_is_preempted_saves_goes_back_in_the_queue_and_ends_alike(store_path, two_epochs, tmp_path):
    command, calls = words(tmp_path, store_path, 2), tmp_path / "calls"
    (stub := tmp_path / "scontrol").write_text(STUB.format(calls=calls))
    stub.chmod(0o755)
    slurm = {"SLURM_JOB_ID": "71", "SLURM_JOB_NAME": "pretrain", "SLURM_NTASKS": "1", "SLURM_PROCID": "0",
             "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_NODELIST": "localhost",
             "PATH": f"{tmp_path}:{os.environ['PATH']}"}  # fmt: skip
    process = call(command, tmp_path / "stopped", **slurm)
    stop(process, tmp_path / "stopped", 0.05, signal.SIGTERM)
    said = process.stderr.read()
    assert process.returncode == 75, said
    assert "stopped on SIGTERM at step" in said
    assert said.strip().endswith("The state is saved; the job is back in the queue.")
    assert calls.read_text() == "requeue 71\n"
    assert call(command, tmp_path / "stopped", **slurm).wait(timeout=300) == 0
    assert_same(tmp_path / "stopped", two_epochs)
