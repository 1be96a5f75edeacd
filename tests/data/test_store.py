import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest
import zarr

from fmrifm.atlas import Atlas
from fmrifm.data.grid import Grid
from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter
from fmrifm.errors import DataError


class _Ranges(SimpleHTTPRequestHandler):
    """A file server that answers `Range`, as those that hold data do."""

    def do_GET(self) -> None:
        content = (
            (Path(self.directory) / self.path.lstrip("/")).read_bytes()
            if Path(self.translate_path(self.path)).is_file()
            else None
        )
        if content is None:
            self.send_error(404)
            return
        asked = self.headers.get("Range", "").removeprefix("bytes=")
        first, _, last = asked.partition("-")
        begin, end = (
            (len(content) - int(last), len(content))
            if not first and last
            else (
                int(first or 0),
                min(int(last or len(content)) + 1, len(content)),
            )
        )
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(end - begin))
        self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.wfile.write(content[begin:end])

    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Ranges, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


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


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match="no store here"):
            Store(path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match="no store here"):
        Store(tmp_path / "notes.txt")


def test_a_store_of_another_format_is_refused(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "old.zarr", mode="w", attributes={"fmrifm_store": 99})
    with pytest.raises(DataError, match="store format 99, expected 2"):
        Store(tmp_path / "old.zarr")


def test_an_array_is_no_store(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "array.zarr", data=np.arange(3))
    with pytest.raises(DataError, match=r"array\.zarr: an array, no store"):
        Store(tmp_path / "array.zarr")


def test_damaged_metadata_and_missing_signal_are_named(tmp_path: Path, grid: Grid) -> None:
    write(path := tmp_path / "s.zarr", grid)
    store = Store(path)
    (path / "scans" / "a" / "signal" / "c" / "0" / "0").unlink()
    with pytest.raises(DataError, match=r"scans/a/signal cannot be read .* `fmrifm info .* --verify` lists"):
        store.window("a")
    (path / "scans" / "a" / "deviation" / "c" / "0").write_bytes(b"1234")
    with pytest.raises(DataError, match=r"deviation cannot be read .* holds 1 values, expected 100"):
        store.covered("a")
    (path / "zarr.json").write_text('{"node_type": "gr')
    with pytest.raises(DataError, match=r"zarr\.json is damaged"):
        Store(path)


@pytest.mark.parametrize(("start", "volumes"), [(-1, 4), (28, 3), (5, 0)])
def test_a_window_beyond_the_scan_is_a_bug_of_the_caller(tmp_path: Path, grid: Grid, start: int, volumes: int) -> None:
    write(tmp_path / "s.zarr", grid)
    with pytest.raises(IndexError, match="of scan a, which has 30"):
        Store(tmp_path / "s.zarr").window("a", start, volumes)


@pytest.fixture(params=["float16", "int8"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path, grid: Grid) -> Store:
    write(tmp_path / "s.zarr", grid, encoding=request.param)
    return Store(tmp_path / "s.zarr")


def test_zarr_itself_reads_the_same_signal(any_store: Store) -> None:
    group = zarr.open_group(any_store.path / "scans" / "b", mode="r")
    signal = group["signal"][...].astype(np.float32)
    if "scale" in group:
        signal *= group["scale"][...]
    assert (any_store.window("b") == signal).all()
    assert (any_store.window("b", 20, 7) == signal[20:27]).all()
    assert (any_store.mean("b") == group["mean"][...]).all()


def test_a_store_in_memory_and_over_http_is_the_one_on_disk(any_store: Store) -> None:
    fsspec.filesystem("memory").put(str(any_store.path), "/cohort.zarr", recursive=True)
    try:
        with serve(any_store.path) as address:
            for url in ("memory://cohort.zarr", address):
                remote = Store(url)
                assert remote.fingerprint == any_store.fingerprint
                assert (remote.window("a", 22, 5) == any_store.window("a", 22, 5)).all()
                assert (remote.deviation("b") == any_store.deviation("b")).all()
                assert (remote.atlas.labels == any_store.atlas.labels).all()
                assert (remote.grid.mask == any_store.grid.mask).all()
    finally:
        fsspec.filesystem("memory").rm("/cohort.zarr", recursive=True)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("memory://absent.zarr", "no store here"),
        ("http://127.0.0.1:9/cohort.zarr", "cannot be reached"),
        ("nowhere://cohort.zarr", "cannot be reached .*nowhere"),
    ],
)
def test_an_address_without_a_store_is_told(url: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Store(url)


def test_the_share_of_each_region_that_a_scan_covers_is_kept(tmp_path: Path, grid: Grid) -> None:
    atlas, voxels = tiny_atlas(grid), len(grid.voxels)
    with StoreWriter(tmp_path / "s.zarr", grid=grid, atlas=atlas, settings={}) as writer:
        for key, percent in (("b", [50, 100]), ("a", [0, 25])):
            row = {"scan": key, "region_coverage": percent}
            writer.add(row, np.zeros((24, voxels)), np.ones(voxels), np.ones(voxels))
    store = Store(tmp_path / "s.zarr")
    assert "region_coverage" not in store.scans
    assert store.region_coverage.loc["b"].to_dict() == {3: 0.5, 170: 1.0}
    assert store.region_coverage[170].to_dict() == {"a": 0.25, "b": 1.0}
