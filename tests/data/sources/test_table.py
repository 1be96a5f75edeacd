from pathlib import Path

import pytest

from fmrifm.data.sources import table
from fmrifm.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    for name in ("runs/b.nii.gz", "runs/a.nii", "c.nii"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(("suffix", "separator"), [("csv", ","), ("tsv", "\t")])
def test_a_table_gives_paths_from_its_folder_and_everything_known(root: Path, suffix: str, separator: str) -> None:
    lines = ["path,subject,site,tr_s,dx,age,note", "runs/b.nii.gz,007,Oslo,2.5,1,9.5,left early", "c.nii,,,,n/a,-999,"]
    (root / f"mine.{suffix}").write_text("\n".join(lines).replace(",", separator))
    first, second = table.find(root / f"mine.{suffix}").records
    assert first.path == root / "runs" / "b.nii.gz"
    assert (first.key, first.site, first.tr_s) == ("007_ses-1_run-1", "Oslo", 2.5)
    assert dict(first.columns) == {"dx": 1, "age": 9.5, "note": "left early"}
    assert (second.subject, second.site, second.tr_s) == ("c", "unknown", None)
    assert set(second.columns.values()) == {None}


def test_a_folder_is_read_through_its_own_table(root: Path) -> None:
    (root / "scans.tsv").write_text("path\nruns/a.nii\n")
    assert [record.path for record in table.find(root).records] == [root / "runs" / "a.nii"]


def test_a_folder_without_a_table_gives_its_own_images(root: Path) -> None:
    (root / "quarantine.tsv").write_text("path\treason\nx.nii\tbroken\n")
    assert [record.subject for record in table.find(root).records] == ["c"]
    assert [record.subject for record in table.find(root / "runs").records] == ["a", "b"]


def test_rows_that_cannot_work_are_refused_and_the_others_stay(root: Path) -> None:
    (root / "mine.csv").write_text("path,tr_s\nruns/a.nii,fast\nruns/gone.nii,2\n,2\nc.nii,2\n")
    found = table.find(root / "mine.csv")
    assert [record.path.name for record in found.records] == ["c.nii"]
    assert [reason for _, reason in found.refused] == [
        "tr_s is 'fast' in mine.csv, expected a number of seconds",
        "no such file; mine.csv lists it",
        "no such file; mine.csv lists it",
    ]


def test_a_table_without_paths_is_refused(root: Path) -> None:
    (root / "mine.csv").write_text("file,dx\nc.nii,1\n")
    with pytest.raises(DataError, match=r"columns \['file', 'dx'\], expected `path`"):
        table.find(root / "mine.csv")


def test_keys_hold_no_slash_or_blank(root: Path) -> None:
    (root / "mine.csv").write_text("path,subject\nc.nii,../odd name/1\n")
    assert table.find(root / "mine.csv").records[0].key == "..-odd-name-1_ses-1_run-1"
