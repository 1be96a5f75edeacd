from pathlib import Path

import pytest

from fmrifm.data.journal import Entry, Journal, source_state


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "s.zarr.journal")
    journal.begin({"spacing_mm": 4})
    return journal


def test_entries_are_read_as_they_were_written(journal: Journal) -> None:
    taken = Entry(source=(12, 34), row={"scan": "b", "tr_s": 2.0}, files={"scans/b/mean/c/0": "ab"})
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


def test_the_state_of_a_file_changes_with_it(tmp_path: Path) -> None:
    (path := tmp_path / "a.nii").write_text("one")
    before = source_state(path)
    path.write_text("three")
    assert before != source_state(path)
    assert before is not None
    assert before[0] == 3
    assert source_state(tmp_path / "absent") is None
