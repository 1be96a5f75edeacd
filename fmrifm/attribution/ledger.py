"""What was computed so far, scan by scan, so that an interrupted run goes on where it stopped."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmrifm.errors import ConfigError


class Ledger:
    """A folder with one file a scan and computation.

    Args:
        folder: Where the files are; it is made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check_source(self, **source: str) -> None:
        """Note what the computations rest on, and refuse a folder that rests on anything else.

        Raises:
            ConfigError: A part of the source has changed since the run was begun.
        """
        note = self.folder / "source.json"
        before = json.loads(note.read_text()) if note.is_file() else source
        for name, now in source.items():
            if before[name] != now:
                raise ConfigError(
                    f"{self.folder}: was computed from another {name} than the one that stands there now. "
                    "Choose another --out."
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(source, indent=1))

    def get(self, what: str, scan: str, compute: Callable[[], Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
        """Return the arrays of a computation for a scan, from the file where it is complete, else by computing them."""
        file = self.folder / what / f"{scan}.npz"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_suffix(f".{os.getpid()}.tmp")
            with unfinished.open("wb") as stream:
                np.savez(stream, **dict[str, Any](compute()))
            unfinished.replace(file)
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
