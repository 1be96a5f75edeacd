"""Lightning's Trainer with our defaults; what the user asks for wins."""

from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException

from fmrifm.errors import ConfigError

_HALF = ("bf16-true", "16-true")


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
    options = {**defaults, **{name: value for name, value in asked.items() if value is not None}}
    try:
        return L.Trainer(**options)
    except (MisconfigurationException, TypeError, ValueError) as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise ConfigError(f"trainer: {said}. Mend the settings trainer.NAME.") from error
