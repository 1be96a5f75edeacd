"""Lightning's Trainer with our defaults; what the user asks for wins."""

from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException

from fmrifm.errors import ConfigError


def make_trainer(asked: Mapping[str, Any], **defaults: Any) -> L.Trainer:
    """Build the Trainer.

    Args:
        asked: Options of the user; None leaves the default.
        defaults: Our options.

    Raises:
        ConfigError: Lightning cannot do what was asked here, e.g. use a GPU that is not there.
    """
    options = {**defaults, **{name: value for name, value in asked.items() if value is not None}}
    try:
        return L.Trainer(**options)
    except (MisconfigurationException, TypeError, ValueError) as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise ConfigError(f"trainer: {said}. Mend the settings trainer.NAME.") from error
