"""The store: a Zarr v3 group that holds a whole cohort on one grid, opened for reading.

    STORE/                attributes: format, name, synthetic, planted, settings, encoding, affine, atlas, scans
      SHA256SUMS          digest of every file, for `sha256sum --check` and `fmrifm info --verify`
      mask                (X, Y, Z) bool
      labels              (V,) int32, the atlas value of each brain voxel, 0 = none
      scans/KEY/signal    (T, V) float16 or int8, z-scored per voxel over time; 0 where the voxel has no signal
      scans/KEY/scale     (V,) float32, with int8 only: signal = stored * scale
      scans/KEY/mean      (V,) float32, in the scan's own unit
      scans/KEY/deviation (V,) float32, 0 where the scan does not cover the voxel

`store_writer.py` writes it. A store is a folder, or any URL that fsspec reads (s3://, gs://, https://, memory://).
"""

import hashlib
import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import fsspec
import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray
from zarr.storage import FsspecStore

from fmrifm.atlas import Atlas
from fmrifm.data.encoding import decode
from fmrifm.data.grid import Grid
from fmrifm.data.shards import read_chunk, read_rows
from fmrifm.errors import DataError

FORMAT = 2
_KEY = re.compile(r"(?!\.+$)[\w.-]+")
"""Names of scans, as `ScanRecord.key` makes them: no slash, and not only dots."""
_FINGERPRINTED = ("affine", "atlas", "settings", "encoding", "scans")


class Store:
    """A prepared cohort.

    Args:
        path: Folder that `StoreWriter` wrote, or its URL.

    Raises:
        DataError: It is no store, one of another format, or out of reach.
    """

    def __init__(self, path: str | Path) -> None:
        self.is_local = "://" not in str(path)
        self.path = Path(path) if self.is_local else str(path).rstrip("/")
        self.attributes = _root_attributes(self.path)
        if (found := self.attributes.get("fmrifm_store")) != FORMAT:
            raise DataError(f"{path}: store format {found}, expected {FORMAT}. Prepare it again with this version.")
        if outside := [key for key in self._columns["scan"] if not _KEY.fullmatch(key)]:
            raise DataError(f"{path}: scan {outside[0]!r} would lie outside the store. Do not use it; ask who made it.")
        self._inside: set[str] = set()

    @cached_property
    def grid(self) -> Grid:
        """The grid that all scans are on."""
        return Grid(affine=np.array(self.attributes["affine"]), mask=self._read("mask"))

    @cached_property
    def atlas(self) -> Atlas:
        """Region of each brain voxel, with the table of regions."""
        return Atlas.from_json(self._read("labels"), self.attributes["atlas"])

    @cached_property
    def scans(self) -> pd.DataFrame:
        """One row a scan: scan, subject, session, run, site, path, tr_s, n_volumes, segments, quality, covariates."""
        return pd.DataFrame({name: values for name, values in self._columns.items() if name != "region_coverage"})

    @cached_property
    def region_coverage(self) -> pd.DataFrame:
        """Share of each region's voxels that each scan covers: scans by key in rows, atlas values in columns."""
        values = np.unique(self.atlas.labels[self.atlas.labels > 0])
        percent = np.array(self._columns["region_coverage"], dtype=float)
        return pd.DataFrame(percent / 100, index=self._columns["scan"], columns=values)

    @property
    def name(self) -> str:
        """What the cohort is called."""
        return str(self.attributes["name"])

    @property
    def encoding(self) -> str:
        """How signal is kept: float16 or int8."""
        return str(self.attributes["encoding"])

    @property
    def synthetic(self) -> bool:
        """True when the scans were generated, not measured."""
        return bool(self.attributes["synthetic"])

    @property
    def planted(self) -> list[int] | None:
        """Atlas values of the regions in which a group difference was planted, if the cohort says so."""
        return cast("list[int] | None", self.attributes["planted"])

    @cached_property
    def fingerprint(self) -> str:
        """Hash over grid, atlas, settings, scan table and the content of every scan (by the table's digests)."""
        content = {key: self.attributes[key] for key in _FINGERPRINTED}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def window(self, scan: str, start: int = 0, volumes: int | None = None) -> NDArray[np.float32]:
        """Read consecutive volumes of one scan, z-scored, shape (volumes, V); all from `start` by default."""
        return decode(*self.stored(scan, start, volumes))

    def stored(
        self, scan: str, start: int = 0, volumes: int | None = None
    ) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """Read as `window`, but as it is kept: (volumes, V) float16 or int8, and the scale of each voxel for int8."""
        stop = self._n_volumes[scan] if volumes is None else start + volumes
        scale = self._voxels(scan, "scale") if self.encoding == "int8" else None
        return self._rows(scan, start, stop), scale

    def mean(self, scan: str) -> NDArray[np.float32]:
        """Temporal mean of each voxel before the z-score, shape (V,)."""
        return self._voxels(scan, "mean")

    def deviation(self, scan: str) -> NDArray[np.float32]:
        """Temporal standard deviation of each voxel before the z-score, shape (V,); 0 = not covered."""
        return self._voxels(scan, "deviation")

    def covered(self, scan: str) -> NDArray[np.bool_]:
        """True where the scan has signal, shape (V,)."""
        return self.deviation(scan) > 0

    @property
    def _columns(self) -> dict[str, list[Any]]:
        return cast("dict[str, list[Any]]", self.attributes["scans"])

    @cached_property
    def _n_volumes(self) -> dict[str, int]:
        return dict(zip(self._columns["scan"], self._columns["n_volumes"], strict=True))

    @cached_property
    def _n_voxels(self) -> int:
        return len(self.atlas.labels)

    def _rows(self, scan: str, start: int, stop: int) -> NDArray[Any]:
        name, length = f"scans/{scan}/signal", self._n_volumes[scan]
        if not 0 <= start < stop <= length:
            raise IndexError(f"volumes {start} to {stop} of scan {scan}, which has {length}")
        if not isinstance(self.path, Path):
            return cast("NDArray[Any]", self._open(name)[start:stop])
        try:
            return read_rows(self._place(name), (length, self._n_voxels), self.encoding, start, stop)
        except OSError as error:
            raise self._damaged(name, error) from None

    def _voxels(self, scan: str, name: str) -> NDArray[np.float32]:
        array = f"scans/{scan}/{name}"
        if not isinstance(self.path, Path):
            return cast("NDArray[np.float32]", self._read(array))
        try:
            return read_chunk(self._place(array), np.float32, self._n_voxels)
        except OSError as error:
            raise self._damaged(array, error) from None

    def _place(self, name: str) -> Path:
        """Folder of an array; a link that leads out of the store is refused."""
        place = Path(self.path) / name
        if name not in self._inside:
            if not place.resolve().is_relative_to(Path(self.path).resolve()):
                raise DataError(
                    f"{place}: a link out of the store, not followed. Copy what it points to into its place."
                )
            self._inside.add(name)
        return place

    def _read(self, name: str) -> Any:
        return self._open(name)[...]

    def _open(self, name: str) -> zarr.Array[Any]:
        try:
            where = self.path / name if isinstance(self.path, Path) else _remote(f"{self.path}/{name}")
            return zarr.open_array(where, mode="r", zarr_format=3)
        except (OSError, zarr.errors.ArrayNotFoundError) as error:
            raise self._damaged(name, error) from None

    def _damaged(self, name: str, error: Exception) -> DataError:
        return DataError(
            f"{self.path}: {name} cannot be read ({error}). `fmrifm info {self.path} --verify` lists what is damaged."
        )


def _remote(url: str) -> FsspecStore:
    return FsspecStore.from_url(url, read_only=True)


def _root_attributes(path: Path | str) -> dict[str, Any]:
    """The root's attributes; read as JSON, since zarr would read a table of 50,000 scans again for each array."""
    try:
        text = (path / "zarr.json").read_bytes() if isinstance(path, Path) else _fetch(f"{path}/zarr.json")
        content = json.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path}: no store here. Make one with `fmrifm prepare --out {path}`.") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: zarr.json is damaged ({error}). Restore it, or prepare the store again.") from None
    if content.get("node_type") != "group":
        raise DataError(f"{path}: an array, no store. Give the folder that `fmrifm prepare` wrote.")
    return cast("dict[str, Any]", content.get("attributes", {}))


def _fetch(url: str) -> bytes:
    try:
        files, path = fsspec.url_to_fs(url)
        return cast("bytes", files.cat_file(path))
    except FileNotFoundError:
        raise
    except Exception as error:  # each kind of storage fails in its own way: no network, no package, no permission
        raise DataError(f"{url}: cannot be reached ({error}). Check the address, or copy the store here.") from None
