from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmrifm.atlas import Atlas
from fmrifm.data.checksums import read_sums
from fmrifm.data.grid import Grid
from fmrifm.data.journal import source_state
from fmrifm.data.scan import ScanRecord
from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter
from fmrifm.errors import DataError

Open = Callable[..., StoreWriter]
KEYS = "cab"


@pytest.fixture
def begin(tmp_path: Path, grid: Grid, atlas: Atlas) -> Open:
    def writer(folder: str = "s.zarr", settings: dict[str, Any] | None = None, **about: Any) -> StoreWriter:
        return StoreWriter(tmp_path / folder, grid=grid, atlas=atlas, settings=settings or {"spacing_mm": 2}, **about)

    return writer


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    """A file for each scan, of which it is made."""
    paths = {key: tmp_path / f"{key}.nii" for key in KEYS}
    for key, path in paths.items():
        path.write_text(key)
    return paths


def state(source: Path) -> str | None:
    return source_state(ScanRecord(path=source, subject="s"))


def states(sources: dict[str, Path]) -> dict[str, str | None]:
    return {key: state(path) for key, path in sources.items()}


def add(writer: StoreWriter, key: str, source: Path | None = None) -> None:
    """A scan whose content depends on its key alone."""
    voxels, rng = 100, np.random.default_rng(ord(key))
    row = {"scan": key, "path": f"{key}.nii", "age": np.float32(ord(key)), "iq": float("nan")}
    moments = np.full(voxels, 100.0), np.full(voxels, 2.0)
    writer.scans.add(row, rng.normal(size=(30, voxels)), *moments, source=source and state(source))


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def undisturbed(begin: Open, tmp_path: Path) -> dict[str, bytes]:
    with begin("undisturbed.zarr") as writer:
        for key in KEYS:
            add(writer, key)
    return content(tmp_path / "undisturbed.zarr")


def interrupted(writer: StoreWriter, sources: dict[str, Path], keys: str) -> None:
    """Write some scans and stop as a crash would."""

    def stop() -> None:
        with writer:
            for key in keys:
                add(writer, key, sources[key])
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stop()


def test_a_store_that_is_not_finished_has_not_its_name(begin: Open, sources: dict[str, Path], tmp_path: Path) -> None:
    interrupted(begin(), sources, "c")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["s.zarr.journal", "s.zarr.partial"]


def test_what_was_finished_is_not_done_again_and_the_bytes_are_the_same(
    begin: Open, sources: dict[str, Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    interrupted(begin(), sources, "ca")
    with begin() as writer:
        assert writer.pending(states(sources)) == ["b"]
        add(writer, "b", sources["b"])
    assert content(tmp_path / "s.zarr") == undisturbed
    assert not list(tmp_path.glob("s.zarr.*"))


def test_a_scan_of_which_only_files_are_there_is_done_again(
    begin: Open, sources: dict[str, Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    interrupted(begin(), sources, "ca")
    (tmp_path / "s.zarr.journal" / "scans" / "a.json").unlink()
    (tmp_path / "s.zarr.partial" / "scans" / "a" / "mean" / "c" / "0").write_bytes(b"half")
    (tmp_path / "s.zarr.partial" / "scans" / "ghost").mkdir()
    with begin() as writer:
        assert writer.pending(states(sources)) == ["a", "b"]
        for key in "ab":
            add(writer, key, sources[key])
    assert content(tmp_path / "s.zarr") == undisturbed


def test_a_file_that_changed_meanwhile_is_read_again(begin: Open, sources: dict[str, Path]) -> None:
    interrupted(begin(), sources, "ca")
    sources["c"].write_text("something longer")
    assert begin().pending(states(sources)) == ["c", "b"]


def test_a_scan_that_is_no_longer_asked_for_is_left_out(begin: Open, sources: dict[str, Path], tmp_path: Path) -> None:
    interrupted(begin(), sources, "ca")
    with begin() as writer:
        assert writer.pending(states({"a": sources["a"]})) == []
    assert Store(tmp_path / "s.zarr").scans["scan"].tolist() == ["a"]
    assert not (tmp_path / "s.zarr" / "scans" / "c").exists()


def test_refusals_are_remembered_and_retried_when_the_file_could_not_be_seen(
    begin: Open, sources: dict[str, Path]
) -> None:
    writer = begin()
    writer.scans.refuse("a", "too short", state(sources["a"]))
    writer.scans.refuse("b", "vanished", None)
    assert begin().refused() == {"a": "too short", "b": "vanished"}
    assert begin().pending(states(sources)) == ["c", "b"]


def test_a_run_killed_after_the_store_got_its_name_ends_well(
    begin: Open,
    sources: dict[str, Path],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("fmrifm.data.journal.Journal.end", lambda journal: None)
        with begin() as writer:
            for key in KEYS:
                add(writer, key, sources[key])
    assert content(tmp_path / "s.zarr") == undisturbed
    with begin() as writer:
        assert writer.pending(states(sources)) == []
    assert content(tmp_path / "s.zarr") == undisturbed
    assert not list(tmp_path.glob("s.zarr.*"))


def test_other_settings_do_not_go_on_with_what_was_begun(begin: Open, sources: dict[str, Path]) -> None:
    interrupted(begin(), sources, "c")
    with pytest.raises(DataError, match=r"begun with other settings \(settings\.spacing_mm 2, now 3\)\. Repeat"):
        begin(settings={"spacing_mm": 3})


def test_an_existing_store_is_never_overwritten(begin: Open, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"undisturbed\.zarr: exists already\. Remove it or choose another --out"):
        begin("undisturbed.zarr")
    assert content(tmp_path / "undisturbed.zarr") == undisturbed


def test_what_is_discarded_is_gone(begin: Open, sources: dict[str, Path], tmp_path: Path) -> None:
    interrupted(begin(), sources, "c")
    begin().discard()
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_appended_scans_make_the_store_that_one_run_would_have_made(
    begin: Open, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    with begin() as writer:
        add(writer, "b")
    with begin(append=True, settings={"spacing_mm": 2, "source": "table"}, name="other") as writer:
        assert writer.existing() == {"b": "b.nii"}
        for key in "ca":
            add(writer, key)
    assert content(tmp_path / "s.zarr") == undisturbed


def test_an_append_that_stops_leaves_the_store_as_it_was_for_readers(
    begin: Open, sources: dict[str, Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    with begin() as writer:
        add(writer, "b")
    before = Store(tmp_path / "s.zarr")
    interrupted(begin(append=True), sources, "c")
    after = Store(tmp_path / "s.zarr")
    assert after.fingerprint == before.fingerprint
    assert after.scans["scan"].tolist() == ["b"]
    with begin(append=True) as writer:
        assert writer.pending(states({key: sources[key] for key in "ca"})) == ["a"]
        add(writer, "a", sources["a"])
    assert content(tmp_path / "s.zarr") == undisturbed


def test_scans_made_otherwise_are_not_appended(begin: Open) -> None:
    with begin() as writer:
        add(writer, "b")
    with pytest.raises(DataError, match=r"prepared with other settings \(settings\.spacing_mm 2, now 3\)"):
        begin(append=True, settings={"spacing_mm": 3})
    with pytest.raises(DataError, match=r"other settings \(encoding float16, now int8\)"):
        begin(append=True, encoding="int8")
    with pytest.raises(DataError, match=r"other settings \(synthetic False, now True\)"):
        begin(append=True, synthetic=True)


def test_values_that_json_has_no_word_for_are_kept_as_missing(undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    store = Store(tmp_path / "undisturbed.zarr")
    assert store.scans["age"].tolist() == [97, 98, 99]
    assert store.scans["iq"].isna().all()


def test_every_file_has_a_digest(undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    assert read_sums(tmp_path / "undisturbed.zarr").keys() == undisturbed.keys() - {"SHA256SUMS"}
