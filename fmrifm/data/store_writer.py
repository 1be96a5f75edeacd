"""Write a store: scan by scan, from any number of processes, so that it can be killed and go on.

A new store grows in STORE.partial, beside STORE.journal (`journal.py`), and appears under its name when
it is complete. Scans are appended in place: they count once the root's attributes name them.

Axes: T volumes, V brain voxels.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
import zarr

from fmrifm.atlas import Atlas
from fmrifm.config import Encoding
from fmrifm.data.checksums import digest, digests, read_sums, write_sums
from fmrifm.data.grid import Grid
from fmrifm.data.journal import Journal
from fmrifm.data.scan_writer import ScanWriter
from fmrifm.data.shards import write_chunk
from fmrifm.data.store import FORMAT, Store
from fmrifm.errors import DataError

_OF_A_DATA_SET = ("name", "planted", "source", "keep")
"""What may differ between a store and scans that are appended."""


class StoreWriter:
    """Writes a store; as a context manager it puts the store in place on success, and keeps what is done on failure.

    Begun again with the same arguments, it goes on with what is done (see `pending`). `add` is `ScanWriter.add`.

    Args:
        path: Folder to create, or with `append` the store to extend.
        grid: Where the voxels are.
        atlas: Which region each belongs to.
        settings: What was done to the scans, kept in the store and in its fingerprint.
        name: What the cohort is called.
        synthetic: True when the scans were generated.
        planted: Atlas values of regions with a planted group difference, if known.
        encoding: How signal is kept.
        append: Add scans to a store that exists.

    Raises:
        DataError: The store exists, or was begun with other settings.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        grid: Grid,
        atlas: Atlas,
        settings: Mapping[str, Any],
        name: str = "unnamed cohort",
        synthetic: bool = False,
        planted: Sequence[int] | None = None,
        encoding: Encoding = "float16",
        append: bool = False,
    ) -> None:
        self.path = Path(path)
        self._append = append
        self._journal = Journal(self.path.with_name(f"{self.path.name}.journal"))
        self._root = self.path if append else self.path.with_name(f"{self.path.name}.partial")
        about = {
            "fmrifm_store": FORMAT,
            "name": name,
            "synthetic": synthetic,
            "planted": None if planted is None else [int(index) for index in planted],
            "settings": dict(settings),
            "encoding": encoding,
            "affine": grid.affine.tolist(),
            "atlas": atlas.to_json(),
            "voxels": hashlib.sha256(grid.mask.tobytes() + atlas.labels.tobytes()).hexdigest(),
        }
        self._attributes = json.loads(json.dumps(about))
        self._store = self._extended() if append else None
        if not append and self.path.exists():
            self._reopen()
        begun = self._journal.begun()
        if begun is None:
            self._begin(grid, atlas)
        elif begun != self._begun():
            raise DataError(
                f"{self.path}: begun with other settings ({_differing(begun, self._begun())}). Repeat those to go on, "
                f"or remove {self._journal.folder} and what else {self.path.name}.* there is to start anew."
            )
        self.scans = ScanWriter(self._root, self._journal, encoding)
        self.add = self.scans.add

    def pending(self, sources: Mapping[str, str | None]) -> list[str]:
        """Which scans are still to be made; what was begun of scans that are no longer asked for is forgotten.

        Args:
            sources: State of what each scan asked for is made of, by key; one that is not known is made again.
        """
        entries = self._journal.entries()
        for key in entries.keys() - sources.keys():
            self._journal.forget(key)
        return [
            key for key, state in sources.items() if state is None or key not in entries or entries[key].source != state
        ]

    def refused(self) -> dict[str, str]:
        """Why scans were refused, by key."""
        return {key: entry.refused for key, entry in self._journal.entries().items() if entry.refused is not None}

    def existing(self) -> dict[str, str]:
        """Path, from its data set's folder, of each scan that the store had before, by key."""
        if self._store is None:
            return {}
        table = self._store.scans
        return dict(zip(table["scan"], table["path"], strict=True))

    def discard(self) -> None:
        """Remove all that was begun."""
        self._journal.end()
        if not self._append:
            shutil.rmtree(self._root)

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()

    def _begun(self) -> dict[str, Any]:
        return {**self._attributes, "append": self._append}

    def _extended(self) -> Store:
        """The store that grows; its scans must have been made as the new ones are."""
        store = Store(self.path)
        for content in (ours := dict(self._attributes), theirs := dict(store.attributes)):
            content.pop("scans", None)
            for name in _OF_A_DATA_SET:
                content.pop(name, None)
            content["settings"] = {k: v for k, v in content["settings"].items() if k not in _OF_A_DATA_SET}
        if ours != theirs:
            raise DataError(
                f"{self.path}: its scans were prepared with other settings ({_differing(theirs, ours)}). "
                "Repeat those to append, or write a new store."
            )
        return store

    def _reopen(self) -> None:
        """Take a store back whose writer was killed after its last rename; any other is left alone."""
        if self._root.exists() or self._journal.begun() != self._begun():
            raise DataError(f"{self.path}: exists already. Remove it or choose another --out.")
        self.path.rename(self._root)

    def _begin(self, grid: Grid, atlas: Atlas) -> None:
        if not self._append:
            shutil.rmtree(self._root, ignore_errors=True)
            group = zarr.open_group(self._root, mode="w", zarr_format=3)
            write_chunk(group, "mask", grid.mask)
            write_chunk(group, "labels", atlas.labels)
            group.create_group("scans")
        self._journal.begin(self._begun())

    def _finish(self) -> None:
        entries = self._journal.entries().values()
        rows = [entry.row for entry in entries if entry.row is not None]
        sums = {name: value for entry in entries for name, value in entry.files.items()}
        if self._store is None:
            self._remove_unfinished({row["scan"] for row in rows})
            for part in ("mask", "labels"):
                sums.update(digests(self._root / part, self._root))
            sums["scans/zarr.json"] = digest(self._root / "scans" / "zarr.json")
        else:
            rows += _rows(self._store)
            sums = {**read_sums(self.path), **sums}
            self._attributes = {**self._store.attributes}
        self._write_root(sorted(rows, key=lambda row: str(row["scan"])))
        write_sums(self._root, {**sums, "zarr.json": digest(self._root / "zarr.json")})
        if self._store is None:
            self._root.rename(self.path)
        self._journal.end()

    def _remove_unfinished(self, finished: Iterable[str]) -> None:
        known = {"zarr.json", *finished}
        for path in (self._root / "scans").iterdir():
            if path.name not in known:
                shutil.rmtree(path)

    def _write_root(self, rows: list[dict[str, Any]]) -> None:
        names = list(dict.fromkeys(name for row in rows for name in row))
        table = {name: [row.get(name) for row in rows] for name in sorted(names, key=_order)}
        with zarr.config.set({"json_indent": None}):  # a line a number would make the table four times as large
            zarr.open_group(self._root, mode="a", zarr_format=3).attrs.put({**self._attributes, "scans": table})


_FIRST = ("scan", "subject", "session", "run", "site", "path", "tr_s", "n_volumes", "segments", "coverage")


def _rows(store: Store) -> list[dict[str, Any]]:
    table: dict[str, list[Any]] = store.attributes["scans"]
    return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]


def _order(name: str) -> tuple[int, str]:
    """Columns in a fixed order, so that the store does not depend on which scan came first."""
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    flat = [pd.json_normalize(dict(content), max_level=3).iloc[0].to_dict() for content in (one, other)]
    names = sorted(str(name) for name in flat[0].keys() | flat[1].keys())
    return ", ".join(
        f"{name} {str(flat[0].get(name))[:40]}, now {str(flat[1].get(name))[:40]}"
        for name in names
        if str(flat[0].get(name)) != str(flat[1].get(name))
    )
