"""The store: a Zarr v3 group that holds a whole cohort on one grid.

    STORE/                attributes: format, name, synthetic, settings, regions, scans, planted
      mask                (X, Y, Z) bool
      labels              (V,) int32, the atlas value of each brain voxel, 0 = none
      scans/KEY/signal    (T, V) float16, z-scored per voxel over time; 0 where the voxel has no signal
      scans/KEY/mean      (V,) float32, in the scan's own unit
      scans/KEY/deviation (V,) float32, 0 where the scan does not cover the voxel

A store appears under its name only when it is complete: it is written next to it and renamed.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from fmrifm.atlas import Atlas
from fmrifm.data.grid import Grid
from fmrifm.errors import DataError

FORMAT = 1
_CHUNK_VOLUMES = 24
"""Volumes in a chunk: a default window is then one or two reads."""


class Store:
    """A prepared cohort, opened for reading.

    Args:
        path: Folder that `StoreWriter` wrote.

    Raises:
        DataError: It is no store, or one of another format.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._group = zarr.open_group(self.path, mode="r")
        except (FileNotFoundError, zarr.errors.GroupNotFoundError):
            raise DataError(f"{path}: no store here. Make one with `fmrifm prepare --out {path}`.") from None
        self.attributes: dict[str, Any] = dict(self._group.attrs)
        if (found := self.attributes.get("fmrifm_store")) != FORMAT:
            raise DataError(f"{path}: store format {found}, expected {FORMAT}. Prepare it again with this version.")

    @cached_property
    def grid(self) -> Grid:
        """The grid that all scans are on."""
        return Grid(affine=np.array(self.attributes["affine"]), mask=self._array("mask"))

    @cached_property
    def atlas(self) -> Atlas:
        """Region of each brain voxel, with the table of regions."""
        return Atlas.from_json(self._array("labels"), self.attributes["atlas"])

    @cached_property
    def scans(self) -> pd.DataFrame:
        """One row a scan: scan, subject, session, run, site, path, tr_s, n_volumes, coverage, labels, covariates."""
        return pd.DataFrame(self.attributes["scans"])

    @property
    def name(self) -> str:
        """What the cohort is called."""
        return str(self.attributes["name"])

    @property
    def synthetic(self) -> bool:
        """True when the scans were generated, not measured."""
        return bool(self.attributes["synthetic"])

    @property
    def planted(self) -> list[int] | None:
        """Atlas values of the regions in which a group difference was planted, if the cohort says so."""
        return cast("list[int] | None", self.attributes["planted"])

    @property
    def fingerprint(self) -> str:
        """Hash over grid, atlas, settings and the content of every scan."""
        content = {key: self.attributes[key] for key in ("affine", "atlas", "settings", "scans")}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def window(self, scan: str, start: int = 0, volumes: int | None = None) -> NDArray[np.float32]:
        """Read consecutive volumes of one scan, z-scored, shape (volumes, V); all from `start` by default."""
        stop = None if volumes is None else start + volumes
        return cast("NDArray[np.float32]", self._array(f"scans/{scan}/signal", slice(start, stop)).astype(np.float32))

    def mean(self, scan: str) -> NDArray[np.float32]:
        """Temporal mean of each voxel before the z-score, shape (V,)."""
        return cast("NDArray[np.float32]", self._array(f"scans/{scan}/mean"))

    def deviation(self, scan: str) -> NDArray[np.float32]:
        """Temporal standard deviation of each voxel before the z-score, shape (V,); 0 = not covered."""
        return cast("NDArray[np.float32]", self._array(f"scans/{scan}/deviation"))

    def covered(self, scan: str) -> NDArray[np.bool_]:
        """True where the scan has signal, shape (V,)."""
        return self.deviation(scan) > 0

    def _array(self, name: str, index: slice = slice(None)) -> Any:
        return cast("zarr.Array[Any]", self._group[name])[index]


class StoreWriter:
    """Writes a store; as a context manager it puts the store in place on success and removes it on failure.

    Args:
        path: Folder to create.
        grid: Where the voxels are.
        atlas: Which region each belongs to.
        settings: What was done to the scans, kept in the store and in its fingerprint.
        name: What the cohort is called.
        synthetic: True when the scans were generated.
        planted: Atlas values of regions with a planted group difference, if known.

    Raises:
        DataError: The folder exists.
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
    ) -> None:
        self.path = Path(path)
        if self.path.exists():
            raise DataError(f"{path}: exists already. Remove it or choose another --out.")
        self._partial = self.path.with_name(f"{self.path.name}.partial")
        shutil.rmtree(self._partial, ignore_errors=True)
        self._group = zarr.open_group(self._partial, mode="w", zarr_format=3)
        self._rows: list[dict[str, Any]] = []
        self._attributes = {
            "fmrifm_store": FORMAT,
            "name": name,
            "synthetic": synthetic,
            "planted": None if planted is None else [int(index) for index in planted],
            "settings": dict(settings),
            "affine": grid.affine.tolist(),
            "atlas": atlas.to_json(),
        }
        _write(self._group, "mask", grid.mask)
        _write(self._group, "labels", atlas.labels)

    def add(
        self,
        row: Mapping[str, Any],
        signal: NDArray[np.floating],
        mean: NDArray[np.floating],
        deviation: NDArray[np.floating],
    ) -> None:
        """Add one scan.

        Args:
            row: Its row of the scan table, with `scan` as the key.
            signal: z-scored time courses, shape (T, V).
            mean: Temporal mean, shape (V,).
            deviation: Temporal standard deviation, shape (V,), 0 where there is no signal.
        """
        group = self._group.create_group(f"scans/{row['scan']}")
        stored = signal.astype(np.float16)
        _write(group, "signal", stored, chunks=(min(_CHUNK_VOLUMES, len(stored)), stored.shape[1]))
        _write(group, "mean", mean.astype(np.float32))
        _write(group, "deviation", deviation.astype(np.float32))
        sha256 = hashlib.sha256(stored.tobytes()).hexdigest()
        self._rows.append({**row, "n_volumes": len(stored), "sha256": sha256})

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
            return
        rows = sorted(self._rows, key=lambda row: str(row["scan"]))
        self._group.attrs.put({**self._attributes, "scans": rows})
        self._partial.rename(self.path)


def _write(group: zarr.Group, name: str, values: NDArray[Any], chunks: tuple[int, ...] | None = None) -> None:
    # Uncompressed: a window then costs 1.6 ms instead of 3.5-4.5 ms, and z-scored noise hardly compresses.
    array = group.create_array(
        name, shape=values.shape, dtype=values.dtype, chunks=chunks or values.shape, compressors=None
    )
    array[...] = values
