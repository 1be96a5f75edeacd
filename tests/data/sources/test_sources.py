from pathlib import Path
from typing import get_args

import pytest

from fmrifm.config import Source
from fmrifm.data.sources import SOURCES, find_scans
from fmrifm.errors import DataError


def test_every_source_of_the_settings_has_a_finder() -> None:
    assert set(SOURCES) == set(get_args(Source))


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
