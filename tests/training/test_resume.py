import signal
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fmrifm.errors import CheckpointError, StoppedError
from fmrifm.training.resume import SaveState, StateFiles, state_file


class Steps:
    """What the callback sees of a Trainer; keeps the steps at which a state was saved."""

    def __init__(self, parts: int = 1, validate_every: int = 10) -> None:
        self.accumulate_grad_batches, self.val_check_batch = parts, validate_every
        self.global_step, self.loggers, self.saved = 0, [], []
        self.sanity_checking, self.is_last_batch, self.is_global_zero = False, False, True
        self.strategy = SimpleNamespace(root_device="cpu", reduce=lambda asked, reduce_op: asked)

    def save_checkpoint(self, path: Any) -> None:
        self.saved.append(self.global_step)

    def run(self, callback: SaveState, batches: int) -> list[int]:
        callback.on_train_start(self, None)
        for batch in range(batches):
            self.global_step = (batch + 1) // self.accumulate_grad_batches
            callback.on_train_batch_end(self, None, None, None, batch)
            if (batch + 1) % self.val_check_batch == 0:
                callback.on_validation_end(self, None)
        return self.saved


def test_states_are_saved_every_so_many_steps_but_not_before_a_validation(tmp_path):
    assert Steps().run(SaveState(tmp_path, 3), 14) == [3, 6, 9, 12]
    assert Steps().run(SaveState(tmp_path, 5), 14) == [5, 11]
    assert Steps(validate_every=4).run(SaveState(tmp_path, 4), 12) == [5, 9]


def test_no_state_is_saved_between_the_turns_of_a_step(tmp_path):
    assert Steps(parts=3, validate_every=30).run(SaveState(tmp_path, 2), 14) == [2, 4]


def test_a_state_follows_the_validation_that_ends_an_epoch(tmp_path):
    steps, callback = Steps(), SaveState(tmp_path, 100)
    for steps.is_last_batch in (False, True):
        callback.on_validation_end(steps, None)
    assert steps.saved == [0]


def test_the_place_in_the_epoch_is_counted_in_the_turns_there_are_now(tmp_path):
    callback = SaveState(tmp_path, 1)
    names = ("ready", "started", "processed", "completed")
    for place, begun, now, expected in (((6, 6, 6, 5), 2, 1, (3, 3, 3, 2)), ((3, 3, 3, 2), 1, 4, (12, 12, 12, 11))):
        counts = {part: dict(zip(names, place, strict=True)) for part in ("total", "current")}
        checkpoint = {"loops": {"fit_loop": {"epoch_loop.batch_progress": counts}}}
        callback.on_save_checkpoint(Steps(parts=begun), None, checkpoint)
        callback.on_load_checkpoint(Steps(parts=now), None, checkpoint)
        assert [tuple(part.values()) for part in counts.values()] == [expected, expected]


def test_a_signal_saves_and_stops_between_two_steps(tmp_path):
    steps, callback = Steps(parts=2), SaveState(tmp_path / "run" / "checkpoints", 100)
    with callback.asked.listening():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(StoppedError, match=r"run: stopped on SIGTERM at step 1\. The state is saved; go on with"):
            steps.run(callback, 4)
    assert steps.saved == [1]


def test_the_newest_complete_state_is_found(tmp_path, capsys):
    assert state_file(tmp_path) is None
    path = tmp_path / "resume.ckpt"
    for step in (1, 2):
        StateFiles().save_checkpoint({"step": step}, path)
    assert state_file(tmp_path) == path
    assert torch.load(path, weights_only=True) == {"step": 2}
    path.write_bytes(path.read_bytes()[:-20])
    found = state_file(tmp_path)
    assert torch.load(found, weights_only=True) == {"step": 1}
    said = "".join(capsys.readouterr().err.split())  # a console breaks lines anywhere in a path
    assert "resume.ckptisdamaged;therungoesonfromprevious.ckpt" in said
    path.unlink()  # the power went between the two renamings
    assert state_file(tmp_path) == found
    found.write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"previous\.ckpt: damaged, and no other state is there"):
        state_file(tmp_path)
