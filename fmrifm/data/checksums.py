"""SHA256SUMS: a digest of every file of a store, in the format of coreutils (`sha256sum --check`)."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from fmrifm.errors import DataError

NAME = "SHA256SUMS"


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(folder: Path, root: Path) -> dict[str, str]:
    """Digest of every file at or below a folder, by its path from `root`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): digest(path) for path in files}


def write_sums(root: Path, sums: Mapping[str, str]) -> None:
    """Write the list, sorted by path, in one step."""
    lines = [f"{value}  {name}\n" for name, value in sorted(sums.items())]
    (beside := root / f"{NAME}.writing").write_text("".join(lines), encoding="utf-8")
    beside.replace(root / NAME)


def read_sums(root: Path) -> dict[str, str]:
    """Read the list: digest by path.

    Raises:
        DataError: There is none, or a line is damaged.
    """
    try:
        lines = (root / NAME).read_text(encoding="utf-8").splitlines()
        return {name: value for value, name in (line.split("  ", 1) for line in lines)}
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{root / NAME}: missing, so nothing can be verified. Give a store of this version.") from None
    except ValueError:
        raise DataError(f"{root / NAME}: damaged, expected a digest and a path a line. Restore the store.") from None


def differences(root: Path, sums: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Compare every file of a store with the list, as `read_sums` gives it.

    Yields:
        Each path, with None where its bytes are those that were written, else `changed`, `missing`,
        `outside the store` or `not in SHA256SUMS`.
    """
    for name, expected in sums.items():
        path = root / name
        if not path.resolve().is_relative_to(root.resolve()):
            yield name, "outside the store"
        elif not path.is_file():
            yield name, "missing"
        else:
            yield name, None if digest(path) == expected else "changed"
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and name not in sums and name != NAME:
            yield name, f"not in {NAME}"
