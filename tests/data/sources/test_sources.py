from pathlib import Path
from typing import get_args

import pytest

from fmrifm.config import Source
from fmrifm.data.scan import Found, ScanRecord
from fmrifm.data.sources import DOWNLOADS, SOURCES, find_scans
from fmrifm.errors import DataError


def test_every_source_of_the_settings_has_a_finder() -> None:
    assert set(get_args(Source)) == set(SOURCES) | set(DOWNLOADS)


@pytest.mark.parametrize("source", SOURCES)
def test_a_missing_root_is_refused(source: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent: no such file or folder\. Point --root"):
        find_scans(source, tmp_path / "absent")


@pytest.mark.parametrize("source", SOURCES)
def test_a_folder_without_scans_says_what_was_expected(source: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"[Pp]oint --root"):
        find_scans(source, tmp_path)


def test_the_second_scan_of_the_same_name_is_refused(tmp_path: Path) -> None:
    for name in ("a.nii", "b.nii", "c.nii"):
        (tmp_path / name).touch()
    (tmp_path / "scans.csv").write_text("path,subject,run\na.nii,1,1\nb.nii,1,2\nc.nii,1,1\n")
    found = find_scans("table", tmp_path)
    assert [record.path.name for record in found.records] == ["a.nii", "b.nii"]
    [(path, reason)] = found.refused
    assert path == tmp_path / "c.nii"
    assert reason == f"same subject, session and run as {tmp_path / 'a.nii'}, which is taken"


def test_names_that_a_store_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    for name in ("a.nii", "b.nii"):
        (tmp_path / name).touch()
    (tmp_path / "scans.csv").write_text("path,subject\na.nii,one 1\nb.nii,one-1\n")
    found = find_scans("table", tmp_path)
    assert [record.subject for record in found.records] == ["one 1"]
    assert found.refused[0][1].startswith("named one-1_ses-1_run-1 in a store, as is ")


def test_a_version_that_keep_leaves_out_makes_room_for_the_next(tmp_path: Path) -> None:
    for name in ("sfnwmrda", "snwmrda"):
        path = tmp_path / "KKI_preproc" / "KKI" / "0010042" / f"{name}0010042_session_1_rest_1.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    both, unfiltered = find_scans("athena", tmp_path), find_scans("athena", tmp_path, keep=["filtered=false"])
    assert [record.path.name[:4] for record in both.records] == ["sfnw"]
    [(path, reason)] = both.refused
    assert path.name.startswith("snwmrda")
    assert reason == f"same subject, session and run as {both.records[0].path}, which is taken"
    assert [record.path.name[:4] for record in unfiltered.records] == ["snwm"]
    assert unfiltered.refused == [(both.records[0].path, "left out by keep: filtered is True, asked filtered=false")]


def test_a_trial_counts_what_keep_lets_through(tmp_path: Path) -> None:
    rows = [f"{name}.nii,{name},{dx}" for name, dx in (("a", 0), ("b", 1), ("c", 1), ("d", 1))]
    for row in rows:
        (tmp_path / row.split(",")[0]).touch()
    (tmp_path / "scans.csv").write_text("\n".join(["path,subject,dx", *rows]))
    found = find_scans("table", tmp_path, keep=["dx=1"], n_subjects=2)
    assert [record.subject for record in found.records] == ["b", "c"]
    assert (len(found.refused), found.n_beyond) == (1, 1)


def test_a_download_is_asked_for_the_first_subjects_in_a_folder_that_may_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def find(root: Path, n_subjects: int | None) -> Found:
        asked.append((root, n_subjects))
        return Found([ScanRecord(path=root / "a.nii", subject="a")])

    monkeypatch.setitem(DOWNLOADS, "nilearn", find)
    assert len(find_scans("nilearn", tmp_path / "new", n_subjects=3).records) == 1
    assert asked == [(tmp_path / "new", 3)]


def test_a_folder_that_may_not_be_entered_is_told(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with pytest.raises(DataError, match=r"round: cannot be read \(Too many levels of symbolic links\)"):
        find_scans("table", tmp_path / "round")
