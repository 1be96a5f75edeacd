"""Words to stages, nothing else: `fmrifm COMMAND --config RECIPE --name.of.setting VALUE`."""

import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from fmrifm import __version__
from fmrifm.errors import FmrifmError
from fmrifm.recipes import SETTINGS, parse

_NOT_FOR_USERS = (
    r"The number of training batches .* is smaller than the logging interval",
    r"The '\w+_dataloader' does not have many workers",
    r"Experiment logs directory .* exists and is not empty",
    r"Checkpoint directory .* exists and is not empty",
    r"You're resuming from a checkpoint that ended before the epoch ended",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
)
"""Warnings of Lightning about its own insides, what small data cannot help, and what a resumed run finds."""


def run() -> None:
    """The `fmrifm` command."""
    logging.disable(logging.INFO)  # Lightning greets and advertises; its warnings stay
    for message in _NOT_FOR_USERS:
        warnings.filterwarnings("ignore", message)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("fmrifm: interrupted.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one stage; return 0, 2 after an error that the user can fix, or 75 where a scheduler stopped it."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())  # noqa: T201
        return 0
    if words[0] == "--version":
        print(f"fmrifm {__version__}")  # noqa: T201
        return 0
    command, *options = words
    if command not in SETTINGS:
        print(f"fmrifm {command}: no such command. Commands: {', '.join(SETTINGS)}.", file=sys.stderr)  # noqa: T201
        return 2
    try:
        print(_stage(command)(parse(command, options)))  # noqa: T201
    except FmrifmError as error:  # anything else is our bug and keeps its traceback
        print(f"fmrifm {command}: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


def _stage(command: str) -> Callable[[Any], Path]:
    """Import a stage only when it is called: `fmrifm --help` need not load PyTorch."""
    return cast("Callable[[Any], Path]", getattr(import_module(f"fmrifm.stages.{command}"), command))


def _overview() -> str:
    lines = [f"  {name:<10} {(settings.__doc__ or '').splitlines()[0]}" for name, settings in SETTINGS.items()]
    return "\n".join(
        [
            "usage: fmrifm COMMAND [--config RECIPE] [--setting VALUE ...]",
            "",
            *lines,
            "",
            "`fmrifm COMMAND --help` lists the settings of a command. Research software, no medical device.",
        ]
    )
