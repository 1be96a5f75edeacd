from pathlib import Path

import pytest

from fmrifm.data.scan import ScanRecord, Value, parse_value, read_table
from fmrifm.errors import DataError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        (" 3.5 ", 3.5),
        ("-0.2", -0.2),
        ("F", "F"),
        ("pending", None),
        ("-999", None),
        ("N/A", None),
        ("", None),
    ],
)
def test_cells_become_numbers_texts_or_none(text: str, value: Value) -> None:
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


def test_a_row_names_the_file_from_the_data_sets_folder(tmp_path: Path) -> None:
    columns = {"dx": 1, "path": "not me", "scan": "nor me"}
    record = ScanRecord(path=tmp_path / "data" / "a" / "b.nii", subject="7", columns=columns)
    row = record.row(tmp_path / "data")
    assert row["path"] == "a/b.nii"
    assert (row["scan"], row["dx"], row["site"]) == ("7_ses-1_run-1", 1, "unknown")
    assert record.row(tmp_path / "other")["path"] == "../data/a/b.nii"


def test_what_only_preparing_needs_stays_out_of_the_row(tmp_path: Path) -> None:
    aside = {"confounds": tmp_path / "c.tsv", "brain_mask": tmp_path / "m.nii", "sidecar_tr_s": 2.0}
    record = ScanRecord(path=tmp_path / "b.nii", subject="7", tr_s=2.5, columns={"age": 9}, **aside)
    assert list(record.row(tmp_path)) == ["scan", "path", "subject", "session", "run", "site", "tr_s", "age"]


def test_a_table_keeps_leading_zeros_and_drops_the_mark_that_excel_writes(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("path\tid\na.nii\t007\n", encoding="utf-8-sig")
    assert read_table(tmp_path / "t.tsv").to_dict(orient="list") == {"path": ["a.nii"], "id": ["007"]}


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2,3,4\n1\n5,6,7,8,9\n", "näme,b\n1,2\n".encode("latin-1")])
def test_a_table_that_cannot_be_read_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.csv: cannot be read as a table"):
        read_table(tmp_path / "t.csv")


def test_a_table_that_is_not_there_or_is_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.csv: cannot be read \(No such file or directory\)"):
        read_table(tmp_path / "t.csv")
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        read_table(tmp_path)
