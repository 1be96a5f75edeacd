"""What a user can fix: each error says where, what was found, what was expected and what to do.

The command line turns these into one sentence and exit code 2; any other exception is
our bug and keeps its traceback.
"""

from collections.abc import Sequence

_NAMED = 5
"""Examples that a sentence gives."""


class FmrifmError(Exception):
    """Base of every error that a user can fix."""

    exit_code = 2
    """What the command line returns."""


class ConfigError(FmrifmError):
    """A setting, recipe or command-line option is wrong."""


class DataError(FmrifmError):
    """A scan, table, folder or store cannot be used as it is."""


class AtlasError(FmrifmError):
    """A label image or region table does not fit."""


class CheckpointError(FmrifmError):
    """A run folder or checkpoint is missing, incomplete or of another format."""


class StoppedError(FmrifmError):
    """A scheduler asked the process to stop; its state is saved."""

    exit_code = 75
    """EX_TEMPFAIL of sysexits.h: the same command may be tried again."""


def some(examples: Sequence[str]) -> str:
    """The first few examples, and how many more there are."""
    more = f" and {len(examples) - _NAMED} more" if len(examples) > _NAMED else ""
    return ", ".join(examples[:_NAMED]) + more
