"""What goes wrong while `pretrain` runs: numbers, memory, workers, disk."""

import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from safetensors.torch import load_file

from fmrifm.config import DataConfig, OptimConfig
from fmrifm.errors import ConfigError, DataError
from fmrifm.stages.pretrain import pretrain


class Spoil(Callback):
    """Puts a NaN into every window of one scan, or of all, for some epochs."""

    def __init__(self, scan: int | None, epochs: range = range(99)) -> None:
        self.scan, self.epochs = scan, epochs

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch in self.epochs:
            batch.signal[batch.scan >= 0 if self.scan is None else batch.scan == self.scan, 2, 5] = torch.nan


def test_a_step_without_a_number_is_left_out_and_counted(pretrain_settings, tmp_path, capsys):
    trainer = {"callbacks": Spoil(3, range(1, 2)), "log_every_n_steps": 1}
    run = pretrain(pretrain_settings(tmp_path / "run", trainer))
    told = " ".join(capsys.readouterr().err.split())
    assert told.count("is no number; its windows are of") == 1
    assert "(1 in a row, 1 in all)" in told
    assert pd.read_csv(run / "logs" / "metrics.csv")["train/skipped"].dropna().iloc[-1] == 1
    assert all(tensor.isfinite().all() for tensor in load_file(run / "checkpoints" / "last.safetensors").values())


def test_too_many_of_them_end_the_run_and_name_the_scans(pretrain_settings, tmp_path):
    few = OptimConfig(batch_size=4, broken_steps=1)
    named = r"step 1 is no number; its windows are of s\d\d_run-1, .*which hold values that are no numbers"
    with pytest.raises(DataError, match=named):
        pretrain(pretrain_settings(tmp_path / "run", {"callbacks": Spoil(None)}, optim=few))


def test_sound_scans_are_not_blamed_for_weights_that_diverge(pretrain_settings, tmp_path):
    wild = OptimConfig(batch_size=4, broken_steps=1, lr=1e20)
    with pytest.raises(ConfigError, match=r"which are sound: 2 such steps in a row .*Lower optim\.lr"):
        pretrain(pretrain_settings(tmp_path / "run", optim=wild))


class Small(Callback):
    """A device with room for so many windows at once."""

    def __init__(self, room: int) -> None:
        self.room = room

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        def allocate(encoder: Any, inputs: Any, output: Any) -> None:
            if encoder.training and len(inputs[0]) > self.room:
                raise torch.OutOfMemoryError("out of memory")

        pl_module.model.encoder.register_forward_hook(allocate)


@pytest.mark.parametrize(("room", "said"), [(3, r"2 would fit: set .*accumulate_grad_batches to 2,"), (0, "Not even")])
def test_out_of_memory_says_how_many_windows_would_fit(pretrain_settings, tmp_path, room, said):
    with pytest.raises(ConfigError, match=rf"cpu: out of memory with 4 windows at once\. {said}"):
        pretrain(pretrain_settings(tmp_path / "run", {"callbacks": Small(room)}))


def test_a_run_goes_on_in_more_turns_and_learns_nearly_the_same(pretrain_settings, pretrained_run, tmp_path):
    with pytest.raises(ConfigError, match="out of memory"):
        pretrain(pretrain_settings(tmp_path, {"callbacks": Fails(4)}, save_every=1))
    pretrain(pretrain_settings(tmp_path, {"accumulate_grad_batches": 2}, resume=True, save_every=1))
    ours, theirs = (load_file(run / "checkpoints" / "last.safetensors") for run in (tmp_path, pretrained_run))
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, atol=1e-3, rtol=1e-2, msg=name)
    steps = [json.loads((run / "checkpoints" / "last.json").read_text()) for run in (tmp_path, pretrained_run)]
    assert steps[0]["about"]["step"] == steps[1]["about"]["step"] == 9


class Fails(Small):
    """Has room until a step."""

    def __init__(self, step: int) -> None:
        super().__init__(99)
        self.step = step

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            self.room = 2


class KillWorker(Callback):
    """Kills a process that reads ahead."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        os.kill(active_children()[-1].pid, signal.SIGKILL)


def test_a_dead_worker_is_said(pretrain_settings, tmp_path):
    data = DataConfig(windows_per_scan=20, workers=1)
    with pytest.raises(DataError, match=r"data\.workers: a process that reads windows was killed"):
        pretrain(pretrain_settings(tmp_path / "run", {"callbacks": KillWorker()}, data=data))


class FullDisk(Callback):
    """From a step on no file can grow beyond 10 kB; notes which checkpoints are there."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.before: dict[str, bytes] = {}

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            self.before = files(Path(trainer.log_dir).with_name("checkpoints"))
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))


@contextmanager
def roomy_again() -> Iterator[None]:
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("every", [1, 99])
def test_a_full_disk_is_said_and_nothing_complete_is_lost(pretrain_settings, pretrained_run, tmp_path, every):
    """The state is the first to be written with `every` 1, else the weights."""
    disk = FullDisk(4)
    with pytest.raises(ConfigError, match=r"no room left on its disk.*--resume goes on"), roomy_again():
        pretrain(pretrain_settings(tmp_path, {"callbacks": disk}, save_every=every))
    assert len(disk.before) >= 5
    assert files(tmp_path / "checkpoints") == disk.before
    pretrain(pretrain_settings(tmp_path, resume=True, save_every=every))
    ours, theirs = (load_file(run / "checkpoints" / "last.safetensors") for run in (tmp_path, pretrained_run))
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []
