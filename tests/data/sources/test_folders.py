import os
from pathlib import Path

import pytest

from fmrifm.data.sources.folders import list_files


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_files_are_listed_by_name_with_blanks_and_brackets(tmp_path: Path) -> None:
    root = tmp_path / "my [data]"
    expected = [touch(root / name) for name in ("b", "a b/c d.nii", "e/1", "e/f/2")]
    assert list_files(root) == (expected, [])


def test_a_linked_folder_is_entered(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "scan.nii")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "site").symlink_to(tmp_path / "elsewhere")
    assert list_files(tmp_path / "root") == ([tmp_path / "root" / "site" / "scan.nii"], [])


def test_a_file_is_named_by_its_own_place_not_by_a_link_to_it(tmp_path: Path) -> None:
    own = touch(tmp_path / "z" / "deep" / "scan.nii")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "again").symlink_to(tmp_path / "z")
    assert list_files(tmp_path) == ([own], [])


def test_a_link_to_a_parent_does_not_go_round_for_ever(tmp_path: Path) -> None:
    file = touch(tmp_path / "site" / "scan.nii")
    (tmp_path / "site" / "up").symlink_to(tmp_path)
    assert list_files(tmp_path) == ([file], [])


def test_a_link_in_a_circle_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    files, refused = list_files(tmp_path)
    assert files == []
    assert [path.name for path, _ in refused] == ["one", "two"]
    assert "this folder cannot be read (Too many levels of symbolic links)" in refused[0][1]


def test_a_closed_folder_is_refused_and_the_others_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, closed = touch(tmp_path / "open" / "scan.nii"), touch(tmp_path / "closed" / "scan.nii").parent
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # the super-user may read everything, so a mode would not do
    files, [(path, reason)] = list_files(tmp_path)
    assert (files, path) == ([file], closed)
    assert reason == "this folder cannot be read (Permission denied); give yourself access to it, or take it away"
