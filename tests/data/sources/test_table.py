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
    lines = ["path,subject,site,tr_s,dx,age,note", "runs/b.nii.gz,007,Oslo,2.5,1,9.5,left early", "c.nii,8,,,n/a,-999,"]
    (root / f"mine.{suffix}").write_text("\n".join(lines).replace(",", separator))
    first, second = table.find(root / f"mine.{suffix}").records
    assert first.path == root / "runs" / "b.nii.gz"
    assert (first.key, first.site, first.tr_s) == ("007_ses-1_run-1", "Oslo", 2.5)
    assert dict(first.columns) == {"dx": 1, "age": 9.5, "note": "left early"}
    assert (second.subject, second.site, second.tr_s) == ("8", "unknown", None)
    assert set(second.columns.values()) == {None}


def test_a_folder_is_read_through_its_own_table(root: Path) -> None:
    (root / "scans.tsv").write_text("path\nruns/a.nii\n")
    assert [record.path for record in table.find(root).records] == [root / "runs" / "a.nii"]


def test_a_folder_without_a_table_gives_its_own_images(root: Path) -> None:
    (root / "quarantine.tsv").write_text("path\treason\nx.nii\tbroken\n")
    assert [record.subject for record in table.find(root).records] == ["c"]
    assert [record.subject for record in table.find(root / "runs").records] == ["a", "b"]


def test_rows_that_cannot_work_are_refused_and_the_others_stay(root: Path) -> None:
    (root / "mine.csv").write_text(
        "path,tr_s,subject\nruns/a.nii,fast,1\nruns/gone.nii,2,2\n,2,3\nc.nii,2,\nc.nii,,4\n"
    )
    found = table.find(root / "mine.csv")
    assert [(record.path.name, record.subject) for record in found.records] == [("c.nii", "4")]
    assert found.refused == [
        (root / "runs" / "a.nii", "tr_s is 'fast', expected a number of seconds (line 2 of mine.csv)"),
        (
            root / "runs" / "gone.nii",
            "runs/gone.nii cannot be read (No such file or directory); correct the path, or remove the row "
            "(line 3 of mine.csv)",
        ),
        (root, "no path is given; name the scan's file, or remove the row (line 4 of mine.csv)"),
        (
            root / "c.nii",
            "no subject is given; without it one person's scans cannot be kept together (line 5 of mine.csv)",
        ),
    ]


def test_without_a_column_of_subjects_every_file_is_one(root: Path) -> None:
    (root / "mine.csv").write_text("path\nruns/b.nii.gz\n")
    assert table.find(root / "mine.csv").records[0].subject == "b"


def test_confounds_and_masks_lie_from_the_tables_folder_and_must_be_there(root: Path) -> None:
    for name in ("runs/conf ounds.tsv", "mask.nii"):
        (root / name).touch()
    lines = ["runs/a.nii,runs/conf ounds.tsv,mask.nii", "c.nii,,", "runs/b.nii.gz,gone.tsv,", "runs/a.nii,,gone.nii"]
    (root / "mine.csv").write_text("\n".join(["path,confounds,brain_mask", *lines]))
    found = table.find(root / "mine.csv")
    first, second = found.records
    assert (first.confounds, first.brain_mask) == (root / "runs" / "conf ounds.tsv", root / "mask.nii")
    assert (second.confounds, second.brain_mask, dict(second.columns)) == (None, None, {})
    assert [reason.split(" cannot")[0] for _, reason in found.refused] == ["gone.tsv", "gone.nii"]


def test_a_column_that_the_store_needs_for_itself_is_told(root: Path) -> None:
    (root / "mine.csv").write_text("path,scan\nc.nii,first\n")
    with pytest.raises(DataError, match="has a column `scan`"):
        table.find(root / "mine.csv")


def test_linked_and_oddly_named_files_are_scans(root: Path) -> None:
    (root / "my runs").mkdir()
    (root / "my runs" / "a [1] b.nii.gz").symlink_to(root / "c.nii")
    [record] = table.find(root / "my runs").records
    assert (record.subject, record.key) == ("a [1] b", "a-1-b_ses-1_run-1")
    (root / "list.csv").write_text("path\nmy runs/a [1] b.nii.gz\n")
    assert table.find(root / "list.csv").records == [record]


def test_a_folder_that_may_not_be_read_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)  # the super-user may read everything, so a mode would not do
    with pytest.raises(DataError, match=r"runs: cannot be read \(Permission denied\)"):
        table.find(root / "runs")


def test_a_table_without_paths_is_refused(root: Path) -> None:
    (root / "mine.csv").write_text("file,dx\nc.nii,1\n")
    with pytest.raises(DataError, match=r"columns \['file', 'dx'\], expected `path`"):
        table.find(root / "mine.csv")


def test_keys_hold_no_slash_or_blank(root: Path) -> None:
    (root / "mine.csv").write_text("path,subject\nc.nii,../odd name/1\n")
    assert table.find(root / "mine.csv").records[0].key == "..-odd-name-1_ses-1_run-1"
