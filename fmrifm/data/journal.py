"""What a `prepare` under way has finished: one small file a scan, so that it can be killed and go on.

    STORE.journal/begun.json     what the store will say of itself, without its scans
    STORE.journal/scans/KEY.json the scan's row and the digests of its files, or why it is refused

An entry appears in one step, after all files of its scan: what has no entry was not finished.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fmrifm.data.scan import ScanRecord


@dataclass(frozen=True)
class Entry:
    """What became of one scan."""

    source: str | None = None
    """State of what it was made of (`source_state`), where known."""
    row: dict[str, Any] | None = None
    """Its row of the scan table, or None when it was refused."""
    refused: str | None = None
    """Why it was refused."""
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of its files, by path from the store."""


@dataclass(frozen=True)
class Journal:
    """The folder of entries; safe to write from many processes, one scan each.

    Args:
        folder: Where it lies.
    """

    folder: Path

    def begun(self) -> dict[str, Any] | None:
        """What `begin` was told, or None when nothing was begun."""
        path = self.folder / "begun.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def begin(self, about: Mapping[str, Any]) -> None:
        """Start anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "scans").mkdir(parents=True)
        _write(self.folder / "begun.json", about)

    def write(self, key: str, entry: Entry) -> None:
        """Note what became of a scan."""
        _write(self.folder / "scans" / f"{key}.json", asdict(entry))

    def entries(self) -> dict[str, Entry]:
        """All entries by key of the scan, sorted."""
        return {
            path.stem: Entry(**json.loads(path.read_text(encoding="utf-8")))
            for path in sorted((self.folder / "scans").glob("*.json"))
        }

    def forget(self, key: str) -> None:
        """Drop an entry."""
        (self.folder / "scans" / f"{key}.json").unlink(missing_ok=True)

    def end(self) -> None:
        """Remove the journal; once renamed it no longer counts, however much of it is left."""
        ended = self.folder.with_name(f"{self.folder.name}.ended")
        shutil.rmtree(ended, ignore_errors=True)
        self.folder.rename(ended)
        shutil.rmtree(ended)


def source_state(record: ScanRecord) -> str | None:
    """Digest of what a scan is made of: its labels and covariates, and size and time of change of its files.

    Returns:
        16 hex digits, whatever folder the data set lies in; None when a file cannot be seen.
    """
    paths = (record.path, record.confounds, record.brain_mask)
    try:
        states = [(path.name, path.stat()) for path in paths if path is not None]
    except OSError:
        return None
    told = {name: value for name, value in asdict(record).items() if not isinstance(value, Path)}
    files = [(name, state.st_size, state.st_mtime_ns) for name, state in states]
    return hashlib.sha256(json.dumps([told, files], sort_keys=True).encode()).hexdigest()[:16]


def _write(path: Path, content: Mapping[str, Any]) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")  # hidden from `entries`
    beside.write_text(json.dumps(content), encoding="utf-8")
    beside.replace(path)
