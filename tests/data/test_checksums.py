import subprocess
from pathlib import Path

import pytest

from fmrifm.data.checksums import differences, digests, read_sums, write_sums
from fmrifm.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three files, two of them below folders, with their list."""
    for name, text in (("zarr.json", "root"), ("scans/a b/zarr.json", "a"), ("scans/b/c/0", "b")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    write_sums(tmp_path, digests(tmp_path, tmp_path))
    return tmp_path


def test_an_untouched_folder_has_no_differences(root: Path) -> None:
    assert dict(differences(root, read_sums(root))) == dict.fromkeys(
        ["scans/a b/zarr.json", "scans/b/c/0", "zarr.json"]
    )


def test_changed_missing_and_added_files_are_each_called_so(root: Path) -> None:
    (root / "scans/b/c/0").write_text("B")
    (root / "zarr.json").unlink()
    (root / "scans/new").write_text("")
    assert {name: word for name, word in differences(root, read_sums(root)) if word} == {
        "scans/b/c/0": "changed",
        "zarr.json": "missing",
        "scans/new": "not in SHA256SUMS",
    }


def test_coreutils_reads_the_list(root: Path) -> None:
    said = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=root, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert said.stdout.count(": OK") == 3


def test_a_missing_or_damaged_list_is_told(root: Path) -> None:
    (root / "SHA256SUMS").write_text("nonsense\n")
    with pytest.raises(DataError, match="damaged, expected a digest and a path"):
        read_sums(root)
    (root / "SHA256SUMS").unlink()
    with pytest.raises(DataError, match="SHA256SUMS: missing"):
        read_sums(root)
