"""What may go wrong in training and is no fault of ours, in a sentence each: memory, workers, disk."""

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from fmrifm.data.windows import Window
from fmrifm.errors import ConfigError, DataError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class TellWhatFits(Callback):
    """Where a step runs out of memory, try how many windows at once would fit."""

    def __init__(self) -> None:
        self.batch: Window | None = None
        self.said = ""

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Window, batch_idx: int
    ) -> None:
        """Keep the windows, to try with."""
        self.batch = batch

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Try divisors of the number that failed, the largest first."""
        if not _out_of_memory(exception) or self.batch is None:
            return
        traceback.clear_frames(exception.__traceback__)  # they keep what the step had computed
        failed, parts, device = len(self.batch.scan), trainer.accumulate_grad_batches, pl_module.device
        self.said = f"{device}: out of memory with {failed} windows at once. "
        for fewer in range(failed // 2, 0, -1):
            if failed % fewer == 0 and _fits(trainer, pl_module, Window(*(part[:fewer] for part in self.batch))):
                turns = parts * failed // fewer
                self.said += (
                    f"{fewer} would fit: set trainer.accumulate_grad_batches to {turns}, "
                    "which computes the same step in so many turns."
                )
                return
        self.said += "Not even one would fit: set model.checkpointing to true, or take a smaller model."


@contextmanager
def in_words(memory: TellWhatFits) -> Iterator[None]:
    """Say in a sentence what a user can mend.

    Raises:
        ConfigError: Memory did not suffice.
        DataError: A process that reads windows died.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if memory.said:
            raise ConfigError(memory.said) from error
        if "DataLoader worker" in str(error):
            raise DataError(
                "data.workers: a process that reads windows was killed, most often for want of memory. "
                "Set fewer data.workers, or 0, and go on with --resume."
            ) from error
        raise


def no_room(error: BaseException | None) -> bool:
    """Whether an error, or what led to it, says that the disk or a quota is full."""
    while error is not None:
        code = getattr(error, "errno", None)
        if code in _NO_ROOM or any(f"(os error {known})" in str(error) for known in _NO_ROOM):  # as safetensors says it
            return True
        error = error.__cause__ or error.__context__
    return False


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _fits(trainer: L.Trainer, pl_module: Any, batch: Window) -> bool:
    """Whether a step on a batch fits beside weights and the optimiser's moments."""
    pl_module.zero_grad(set_to_none=True)
    if pl_module.device.type == "cuda":
        torch.cuda.empty_cache()
    try:
        begun = any(optimizer.state for optimizer in trainer.optimizers)
        moments = [] if begun else [torch.empty_like(p) for p in pl_module.parameters() for _ in range(2)]
        pl_module.rehearse(batch)
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)
        return False
    del moments
    return True
