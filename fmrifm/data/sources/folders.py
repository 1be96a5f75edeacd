"""Every file below a folder, through links too, and the folders that cannot be read."""

import os
from collections import deque
from pathlib import Path

Refused = list[tuple[Path, str]]
"""Files or folders that are left out, each with the reason."""


def list_files(root: Path) -> tuple[list[Path], Refused]:
    """List the files below a folder, folder by folder, in the order of their names.

    Linked folders are entered after all others, so that a file is named by its own place where
    it has one below `root`; no folder is entered twice, so a link to a parent does no harm.

    Returns:
        The files, and the folders that could not be read.
    """
    files: list[Path] = []
    refused: Refused = []
    folders, links, seen = deque([root]), deque[Path](), set[tuple[int, int]]()
    while folders or links:
        folder = folders.popleft() if folders else links.popleft()
        try:
            status = folder.stat()
            if (identity := (status.st_dev, status.st_ino)) in seen:
                continue
            seen.add(identity)
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    _sort_in(entry, files, folders, links)
        except OSError as error:
            refused.append((folder, unreadable("folder", error)))
    return files, refused


def unreadable(what: str, error: OSError) -> str:
    """Say that a file or folder cannot be read, and what to do."""
    return f"this {what} cannot be read ({error.strerror}); give yourself access to it, or take it away"


def _sort_in(entry: os.DirEntry[str], files: list[Path], folders: deque[Path], links: deque[Path]) -> None:
    if not entry.is_symlink():
        (folders if entry.is_dir() else files).append(Path(entry.path))
        return
    try:
        (links if entry.is_dir() else files).append(Path(entry.path))
    except OSError:  # a link in a circle, or to where we may not look: entering it gives the reason
        links.append(Path(entry.path))
