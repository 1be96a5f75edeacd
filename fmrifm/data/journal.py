"""What a `prepare` under way has finished: one small file a scan, so that it can be killed and go on.

    STORE.journal/begun.json     what the store will say of itself, without its scans
    STORE.journal/scans/KEY.json the scan's row and the digests of its files, or why it is refused

An entry appears in one step, after all files of its scan: what has no entry was not finished.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """What became of one scan."""

    source: tuple[int, int] | None = None
    """Size and modification time (ns) of the file it was made of, where known."""
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
            path.stem: _entry(json.loads(path.read_text(encoding="utf-8")))
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


def source_state(path: Path) -> tuple[int, int] | None:
    """Size and modification time (ns) of a file; None when it cannot be seen."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def _entry(content: dict[str, Any]) -> Entry:
    return Entry(**{**content, "source": None if content["source"] is None else tuple(content["source"])})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")  # hidden from `entries`
    beside.write_text(json.dumps(content), encoding="utf-8")
    beside.replace(path)
