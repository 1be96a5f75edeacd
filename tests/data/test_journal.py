from dataclasses import replace
from pathlib import Path

import pytest

from fmrifm.data.journal import Entry, Journal, source_state
from fmrifm.data.scan import ScanRecord


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "s.zarr.journal")
    journal.begin({"spacing_mm": 4})
    return journal


def test_entries_are_read_as_they_were_written(journal: Journal) -> None:
    taken = Entry(source="12ab", row={"scan": "b", "tr_s": 2.0}, files={"scans/b/mean/c/0": "ab"})
    journal.write("b", taken)
    journal.write("a.5", Entry(refused="too short"))
    assert list(journal.entries().items()) == [("a.5", Entry(refused="too short")), ("b", taken)]
    journal.forget("b")
    journal.forget("b")
    assert list(journal.entries()) == ["a.5"]


def test_an_entry_that_was_being_written_does_not_count(journal: Journal) -> None:
    (journal.folder / "scans" / ".b.json.4711").write_text('{"row"')
    assert journal.entries() == {}


def test_to_begin_is_to_forget_what_was(journal: Journal) -> None:
    journal.write("b", Entry(refused="too short"))
    assert journal.begun() == {"spacing_mm": 4}
    journal.begin({"spacing_mm": 3})
    assert (journal.begun(), journal.entries()) == ({"spacing_mm": 3}, {})


def test_an_ended_journal_leaves_nothing(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "s.zarr.journal.ended").mkdir()
    journal.end()
    assert list(tmp_path.iterdir()) == []
    assert journal.begun() is None


@pytest.fixture
def record(tmp_path: Path) -> ScanRecord:
    """A scan with a confound table."""
    for name in ("a.nii", "a.tsv"):
        (tmp_path / "data" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "data" / name).write_text("one")
    folder = tmp_path / "data"
    return ScanRecord(path=folder / "a.nii", subject="1", confounds=folder / "a.tsv", columns={"dx": 0, "age": 9.5})


@pytest.mark.parametrize("name", ["a.nii", "a.tsv"])
def test_the_state_of_a_scan_changes_with_each_of_its_files(record: ScanRecord, name: str) -> None:
    before = source_state(record)
    assert before == source_state(record)
    (record.path.parent / name).write_text("three")
    assert before is not None
    assert before != source_state(record)
    (record.path.parent / name).unlink()
    assert source_state(record) is None


def test_the_state_of_a_scan_changes_with_its_label_and_repetition_time(record: ScanRecord) -> None:
    changed = [replace(record, columns={"dx": 1, "age": 9.5}), replace(record, tr_s=2.0), replace(record, site="NYU")]
    assert len({source_state(each) for each in (record, *changed)}) == 4


def test_the_state_of_a_scan_does_not_know_its_folder(record: ScanRecord, tmp_path: Path) -> None:
    before = source_state(record)
    folder = record.path.parent.rename(tmp_path / "moved")
    assert source_state(replace(record, path=folder / "a.nii", confounds=folder / "a.tsv")) == before
