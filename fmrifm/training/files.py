"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path, previous: Path | None = None) -> Iterator[Path]:
    """Give a place beside a file to write to; what is there in the end is put in the file's place, safe on the disk.

    A reader, a power cut or a full disk meets the old file or the new one, never half of one.

    Args:
        path: The file to write.
        previous: Where to keep the file that it replaces, if anywhere.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        _sync(partial)
        if previous is not None and path.exists():
            path.replace(previous)
        partial.replace(path)
        _sync(path.parent)  # else a power cut may undo the renaming
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
