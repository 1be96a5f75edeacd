from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr

from fmrifm.atlas import Atlas
from fmrifm.data.grid import Grid
from fmrifm.data.store import Store, StoreWriter
from fmrifm.errors import DataError


def tiny_atlas(grid: Grid) -> Atlas:
    regions = pd.DataFrame({"index": [3, 170], "name": ["Alpha_L", "Omega_R"], "system": ["Limbic", "Cerebellum"]})
    labels = np.resize(np.array([0, 3, 170], np.int32), len(grid.voxels))
    return Atlas(labels=labels, regions=regions, origin="a test", rescued=(170,))


def write(path: Path, grid: Grid, *, settings: dict[str, Any] | None = None, seed: int = 0, **about: Any) -> np.ndarray:
    """Write a store of two scans, b before a, and return the signal of both, shape (2, 30, V)."""
    signals = np.random.default_rng(seed).normal(size=(2, 30, len(grid.voxels))).astype(np.float32)
    with StoreWriter(
        path, grid=grid, atlas=tiny_atlas(grid), settings=settings or {"spacing_mm": 2}, **about
    ) as writer:
        for key, signal in zip("ba", signals, strict=True):
            deviation = np.arange(len(grid.voxels), dtype=np.float32)
            row = {"scan": key, "subject": key, "site": "here", "dx": None, "uncovered_regions": [3]}
            writer.add(row, signal, deviation + 1, deviation)
    return signals


def test_what_was_written_is_read_back(tmp_path: Path, grid: Grid) -> None:
    signals = write(tmp_path / "s.zarr", grid, name="twins", synthetic=True, planted=[np.int64(3)])
    store = Store(tmp_path / "s.zarr")
    assert np.allclose(store.window("b"), signals[0], atol=2e-3)
    assert np.allclose(store.window("a", start=22, volumes=5), signals[1, 22:27], atol=2e-3)
    assert store.window("a").dtype == np.float32
    assert (store.mean("a") == np.arange(len(grid.voxels)) + 1).all()
    assert store.covered("a").tolist() == [False] + [True] * (len(grid.voxels) - 1)
    assert (store.grid.mask == grid.mask).all()
    assert (store.grid.affine == grid.affine).all()
    assert (store.name, store.synthetic, store.planted) == ("twins", True, [3])


def test_the_atlas_survives_with_labels_above_127(tmp_path: Path, grid: Grid) -> None:
    write(tmp_path / "s.zarr", grid)
    atlas, expected = Store(tmp_path / "s.zarr").atlas, tiny_atlas(grid)
    assert (atlas.labels == expected.labels).all()
    assert atlas.regions["name"].tolist() == ["Alpha_L", "Omega_R"]
    assert (atlas.rescued, atlas.lost, atlas.origin) == ((170,), (), "a test")


def test_the_scan_table_is_sorted_and_knows_lengths(tmp_path: Path, grid: Grid) -> None:
    write(tmp_path / "s.zarr", grid)
    scans = Store(tmp_path / "s.zarr").scans
    assert scans["scan"].tolist() == ["a", "b"]
    assert scans["n_volumes"].tolist() == [30, 30]
    assert scans["dx"].isna().all()
    assert scans["uncovered_regions"].tolist() == [[3], [3]]


def test_the_fingerprint_follows_content_and_settings_and_nothing_else(tmp_path: Path, grid: Grid) -> None:
    write(tmp_path / "one.zarr", grid)
    write(tmp_path / "two.zarr", grid)
    write(tmp_path / "other_settings.zarr", grid, settings={"spacing_mm": 3})
    write(tmp_path / "other_signal.zarr", grid, seed=1)
    one, two, *others = [Store(path).fingerprint for path in sorted(tmp_path.iterdir(), key=lambda p: len(p.name))]
    assert one == two
    assert len({one, *others}) == 3


def test_a_store_that_is_not_finished_leaves_nothing(tmp_path: Path, grid: Grid) -> None:
    def stop(writer: StoreWriter) -> None:
        with writer:
            assert [path.name for path in tmp_path.iterdir()] == ["s.zarr.partial"]
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stop(StoreWriter(tmp_path / "s.zarr", grid=grid, atlas=tiny_atlas(grid), settings={}))
    assert list(tmp_path.iterdir()) == []


def test_a_leftover_of_a_killed_run_is_overwritten(tmp_path: Path, grid: Grid) -> None:
    leftover = tmp_path / "s.zarr.partial" / "scans" / "ghost"
    leftover.mkdir(parents=True)
    write(tmp_path / "s.zarr", grid)
    assert sorted(path.name for path in (tmp_path / "s.zarr" / "scans").iterdir() if path.is_dir()) == ["a", "b"]


def test_an_existing_folder_is_never_overwritten(tmp_path: Path, grid: Grid) -> None:
    write(tmp_path / "s.zarr", grid)
    with pytest.raises(DataError, match=r"s\.zarr: exists already\. Remove it or choose another --out"):
        write(tmp_path / "s.zarr", grid)
    assert len(Store(tmp_path / "s.zarr").scans) == 2


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match="no store here"):
            Store(path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match="no store here"):
        Store(tmp_path / "notes.txt")


def test_a_store_of_another_format_is_refused(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "old.zarr", mode="w", attributes={"fmrifm_store": 99})
    with pytest.raises(DataError, match="store format 99, expected 1"):
        Store(tmp_path / "old.zarr")
