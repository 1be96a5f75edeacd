"""Steps whose gradient is no number are left out and counted; too many in a row end the run, with a reason."""

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from fmrifm.data.windows import Window
from fmrifm.errors import ConfigError, DataError, some
from fmrifm.training.sharding import whole_tensor


class SkipBroken(Callback):
    """Leave out a step whose gradient is infinite or no number, on all processes alike.

    Args:
        scans: Keys of the training scans, in the order that windows refer to.
        most: Steps in a row that may be left out.
    """

    batch: Window

    def __init__(self, scans: Sequence[str], most: int) -> None:
        self.scans = scans
        self.most = most
        self.skipped = 0
        self.in_a_row = 0
        self.windows: list[tuple[Tensor, Tensor]] = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Window, batch_idx: int
    ) -> None:
        """Keep the windows."""
        self.batch = batch

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Note their scans, and whether they are numbers."""
        self.windows.append((self.batch.scan, self.batch.signal.isfinite().all(dim=(1, 2)).long()))

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        """Drop a gradient that is no number: the optimiser then leaves weights and moments as they are.

        Raises:
            DataError: There are too many in a row, and scans hold values that are no numbers.
            ConfigError: There are too many in a row, and the scans are sound.
        """
        gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        broken = (~whole_tensor(get_total_norm(gradients)).isfinite()).float()
        windows, self.windows = self.windows, []
        if not trainer.strategy.reduce(broken, reduce_op="sum"):
            self.in_a_row = 0
        else:
            optimizer.zero_grad(set_to_none=True)
            self.skipped += 1
            self.in_a_row += 1
            self._tell(trainer, *self._names(trainer, windows))
        pl_module.log("train/skipped", float(self.skipped))

    def _names(self, trainer: L.Trainer, windows: list[tuple[Tensor, Tensor]]) -> tuple[list[str], bool]:
        """Scans of the windows that are no numbers, or of all where none is, and whether one is."""
        ours = torch.stack([torch.cat(parts) for parts in zip(*windows, strict=True)])
        scan, sound = trainer.strategy.all_gather(ours).view(-1, *ours.shape).transpose(0, 1).flatten(1)
        unsound = bool((sound == 0).any())
        named = scan[sound == 0] if unsound else scan
        return sorted({self.scans[number] for number in named.tolist()}), unsound

    def _tell(self, trainer: L.Trainer, scans: list[str], unsound: bool) -> None:
        of = f"the gradient of step {trainer.global_step} is no number; its windows are of {some(scans)}"
        if self.in_a_row <= self.most:
            if trainer.is_global_zero:
                said = f"Left out: {of} ({self.in_a_row} in a row, {self.skipped} in all)."
                Console(stderr=True, highlight=False).print(said)
        elif unsound:
            raise DataError(f"{of}, which hold values that are no numbers. Prepare them again, or leave them out.")
        else:
            raise ConfigError(
                f"{of}, which are sound: {self.in_a_row} such steps in a row (optim.broken_steps allows {self.most}). "
                "Lower optim.lr, now and in another --out, or set trainer.precision to 32-true."
            )

    def state_dict(self) -> dict[str, Any]:
        """Remember the counts across a resume."""
        return {"skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.skipped, self.in_a_row = state_dict["skipped"], state_dict["in_a_row"]
