"""Sources: how folders of scans are laid out.

A source is a function `find(root) -> Found`; `SOURCES` maps the word of `--source` to it.
"""

from collections.abc import Callable
from pathlib import Path

from fmrifm.data.scan import Found, ScanRecord
from fmrifm.data.sources import athena, fmriprep, table
from fmrifm.errors import DataError

SOURCES: dict[str, Callable[[Path], Found]] = {"athena": athena.find, "fmriprep": fmriprep.find, "table": table.find}


def find_scans(source: str, root: Path) -> Found:
    """Find the scans below a folder; of two scans with the same key the later is refused.

    Args:
        source: A key of `SOURCES`.
        root: Folder of the data set, or the table for `table`.

    Raises:
        DataError: The folder is missing or not laid out as the source expects.
    """
    if not root.exists():
        raise DataError(f"{root}: no such file or folder. Point --root at the data set.")
    found = SOURCES[source](root)
    kept: dict[str, ScanRecord] = {}
    refused = list(found.refused)
    for record in found.records:
        if (first := kept.setdefault(record.key, record)) is not record:
            refused.append((record.path, f"same subject, session and run as {first.path}, which is taken"))
    return Found(list(kept.values()), refused)
