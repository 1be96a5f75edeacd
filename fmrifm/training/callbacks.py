"""Callbacks: write shareable weights while training runs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from fmrifm.training.checkpoint import Pretrained, save_pretrained, select


class SaveWeights(Callback):
    """Save `last` after every validation and `best` when a score rises.

    Args:
        folder: Where to write.
        watched: Name of the score.
        describe: Turns what is known of the moment (epoch, scores) into the checkpoint to write.
    """

    def __init__(self, folder: Path, watched: str, describe: Callable[[Mapping[str, Any]], Pretrained]) -> None:
        self.folder = folder
        self.watched = watched
        self.describe = describe
        self.best = float("-inf")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write on the first process, once training has begun; every process hands over what it holds."""
        if trainer.sanity_checking:
            return
        weights = select(trainer.strategy.lightning_module_state_dict(), "model.")
        if not trainer.is_global_zero:
            return
        scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        pretrained = self.describe({"epoch": trainer.current_epoch, "step": trainer.global_step, "scores": scores})
        save_pretrained(self.folder / "last", pretrained, weights)
        if scores[self.watched] > self.best:
            self.best = scores[self.watched]
            save_pretrained(self.folder / "best", pretrained, weights)

    def state_dict(self) -> dict[str, Any]:
        """Remember the best score across a resume."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.best = state_dict["best"]
