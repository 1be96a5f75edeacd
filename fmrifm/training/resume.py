"""What `--resume` goes on from: the state of a run, saved every so many steps, whole.

    resume.ckpt      the newest state: weights, optimiser, schedule, masker, place in the epoch
    previous.ckpt    the one before

Masks and windows are drawn by seed, epoch and step, so that no generator need be saved.
"""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from rich.console import Console

from fmrifm.errors import CheckpointError, StoppedError
from fmrifm.training.files import whole
from fmrifm.training.signals import Asked, requeue

RESUME, PREVIOUS = "resume.ckpt", "previous.ckpt"
_TURNS = "turns"


class StateFiles(TorchCheckpointIO):
    """Lightning's checkpoint files, put in place when they are complete and on the disk, the one before kept."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write one."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path, path.with_name(PREVIOUS)) as partial, partial.open("wb") as file:
            torch.save(checkpoint, file)


class SaveState(Checkpoint):
    """Save the state every so many steps and after every epoch's validation.

    No state is saved between a step and the validation that is due after it: such a run would go on without it.

    Args:
        folder: Where to write.
        every: Steps between two states.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.path = folder / RESUME
        self.every = every
        self.asked = Asked()
        self.saved = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count from where the run goes on."""
        self.asked.listen()
        self.saved = trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *batch: Any) -> None:
        """Save where it is time, or the process was asked to stop, between two steps of the optimiser."""
        done = batch[-1] + 1
        if done % trainer.accumulate_grad_batches == 0 and done % trainer.val_check_batch > 0:
            stop = self._stop(trainer)
            if stop or trainer.global_step - self.saved >= self.every:
                self.save(trainer)
            if stop:
                self._leave(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save after the validation that ends an epoch."""
        if not trainer.sanity_checking and trainer.is_last_batch:
            self.save(trainer)
            if self._stop(trainer):
                self._leave(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Save, with the curve up to here; every process takes part."""
        for logger in trainer.loggers:
            logger.save()
        trainer.save_checkpoint(self.path)
        self.saved = trainer.global_step

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note in how many turns a step was computed: Lightning counts the place in the epoch in them."""
        checkpoint[_TURNS] = trainer.accumulate_grad_batches

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Count in the turns that there are now."""
        begun, now = checkpoint[_TURNS], trainer.accumulate_grad_batches
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for counts in (progress["total"], progress["current"]):
            under_way = {name: counts["ready"] - count for name, count in counts.items()}
            ready = -(-counts["ready"] * now // begun)
            counts |= {name: ready - behind for name, behind in under_way.items()}

    def _stop(self, trainer: L.Trainer) -> bool:
        """Whether any process was asked to stop."""
        asked = torch.tensor(float(self.asked.by is not None), device=trainer.strategy.root_device)
        return bool(trainer.strategy.reduce(asked, reduce_op="sum"))

    def _leave(self, trainer: L.Trainer) -> None:
        back = trainer.is_global_zero and requeue()
        then = "the job is back in the queue" if back else "go on with --resume"
        raise StoppedError(
            f"{self.path.parent.parent}: stopped on {self.asked.by or 'a signal to another process'} at step "
            f"{trainer.global_step}. The state is saved; {then}."
        )


def state_file(folder: Path) -> Path | None:
    """Find the newest complete state in a run's `checkpoints` folder, or None where none was saved.

    Raises:
        CheckpointError: There are states, and none is complete, or the newest holds what could be run.
    """
    found = [path for path in (folder / RESUME, folder / PREVIOUS) if path.is_file()]
    complete = [path for path in found if zipfile.is_zipfile(path)]
    if found and not complete:
        raise CheckpointError(f"{found[0]}: damaged, and no other state is there. Start again with another --out.")
    if found and found[0] != complete[0]:
        Console(stderr=True).print(f"{found[0]} is damaged; the run goes on from {complete[0].name}.", highlight=False)
    if complete:
        _check_harmless(complete[0])
    return complete[0] if complete else None


def _check_harmless(path: Path) -> None:
    """Refuse a file that holds anything to be run; tensors and numbers alone are read."""
    try:
        torch.load(path, map_location="meta", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: no state of fmrifm, which holds tensors and numbers alone, so it was not opened "
            f"({' '.join(str(error).split())[:120]}). Take it away and start with --resume again."
        ) from None
