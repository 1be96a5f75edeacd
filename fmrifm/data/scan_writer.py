"""Write single scans into a store that grows: what a process that prepares scans needs, and no more.

Axes: T volumes, V brain voxels.
"""

import hashlib
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from fmrifm.config import Encoding
from fmrifm.data.checksums import digests
from fmrifm.data.encoding import encode
from fmrifm.data.journal import Entry, Journal
from fmrifm.data.shards import write_chunk, write_shard


@dataclass(frozen=True)
class ScanWriter:
    """Writes single scans; what a process that prepares scans gets.

    Args:
        root: Folder of the store.
        journal: Where finished scans are noted.
        encoding: How signal is kept.
    """

    root: Path
    journal: Journal
    encoding: Encoding

    def add(
        self,
        row: Mapping[str, Any],
        signal: NDArray[np.floating],
        mean: NDArray[np.floating],
        deviation: NDArray[np.floating],
        *,
        source: str | None = None,
    ) -> None:
        """Write one scan, wholly or not at all.

        Args:
            row: Its row of the scan table, with `scan` as the key.
            signal: z-scored time courses, shape (T, V).
            mean: Temporal mean, shape (V,).
            deviation: Temporal standard deviation, shape (V,), 0 where there is no signal.
            source: State of what it was made of.
        """
        folder = self.root / "scans" / row["scan"]
        self.journal.forget(row["scan"])
        shutil.rmtree(folder, ignore_errors=True)
        stored, scale = encode(signal, self.encoding)
        moments = {"mean": mean.astype(np.float32), "deviation": deviation.astype(np.float32)}
        arrays = moments if scale is None else {**moments, "scale": scale}
        group = zarr.open_group(folder, mode="w", zarr_format=3)
        write_shard(group, "signal", stored)
        for name, values in arrays.items():
            write_chunk(group, name, values)
        sha256 = hashlib.sha256()
        for array in (stored, *arrays.values()):
            sha256.update(np.ascontiguousarray(array).data)
        derived = {"n_volumes": len(stored), "segments": [len(stored)]}
        full = _plain({**derived, **row, "sha256": sha256.hexdigest()})
        self.journal.write(row["scan"], Entry(source=source, row=full, files=digests(folder, self.root)))

    def refuse(self, key: str, reason: str, source: str | None = None) -> None:
        """Note that a scan cannot be used."""
        self.journal.write(key, Entry(source=source, refused=reason))


def _plain(value: Any) -> Any:
    """What JSON can hold: NumPy scalars as numbers, NaN as null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
