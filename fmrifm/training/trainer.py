"""Lightning's Trainer with our defaults; what the user asks for wins."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import DDPStrategy
from torch.nn.parallel import DistributedDataParallel

from fmrifm.errors import ConfigError
from fmrifm.training.sharding import ShardedStrategy

_HALF = ("bf16-true", "16-true")
OWN_SHARES = {"use_distributed_sampler": False}
"""Option of a Trainer whose loaders deal windows to processes themselves (`Share`)."""


def make_trainer(asked: Mapping[str, Any], **defaults: Any) -> L.Trainer:
    """Build the Trainer.

    Args:
        asked: Options of the user; None leaves the default.
        defaults: Our options.

    Raises:
        ConfigError: Lightning cannot do what was asked here, e.g. use a GPU that is not there.
    """
    if asked.get("precision") in _HALF:
        raise ConfigError(
            f"trainer.precision is {asked['precision']}: weights of 16 bits lose small updates. "
            "Set bf16-mixed, which computes in 16 bits and keeps weights in 32."
        )
    if asked.get("strategy") == "fsdp":
        asked = {**asked, "strategy": ShardedStrategy()}
    options = {**defaults, **{name: value for name, value in asked.items() if value is not None}}
    try:
        trainer = L.Trainer(**options)
    except (MisconfigurationException, TypeError, ValueError) as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise ConfigError(f"trainer: {said}. Mend the settings trainer.NAME.") from error
    if isinstance(trainer.strategy, DDPStrategy):
        # Buffers are equal on all processes, or change alike: no need to send them around at every step.
        known = signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # before PyTorch 2.13
        trainer.strategy._ddp_kwargs.setdefault(name, False)
    return trainer
