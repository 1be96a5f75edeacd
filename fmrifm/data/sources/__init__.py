"""Sources: how folders of scans are laid out.

A source is a function `find(root) -> Found`, and a download `find(root, n_subjects) -> Found`; the
dictionaries map the word of `--source` to it. Of a run that is there in several versions a source
gives every one, the best first: the first that `keep` lets through is taken.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fmrifm.data.scan import Found, ScanRecord
from fmrifm.data.sources import athena, fmriprep, nilearn, table
from fmrifm.data.sources.selection import first_subjects, keep_scans
from fmrifm.errors import DataError

SOURCES: dict[str, Callable[[Path], Found]] = {"athena": athena.find, "fmriprep": fmriprep.find, "table": table.find}
"""What lies on disk."""
DOWNLOADS: dict[str, Callable[[Path, int | None], Found]] = {"nilearn": nilearn.find}
"""What is fetched into the folder first."""


def find_scans(source: str, root: Path, *, keep: Sequence[str] = (), n_subjects: int | None = None) -> Found:
    """Find the scans below a folder.

    Args:
        source: A key of `SOURCES` or `DOWNLOADS`.
        root: Folder of the data set, or the table for `table`.
        keep: Conditions such as `qc_rest=1` or `site!=NYU`, all of which a scan has to meet.
        n_subjects: Take the first subjects alone, by identifier; a download fetches no others.

    Returns:
        One record a run. A scan that `keep` leaves out, or of a run that is taken already, is refused.

    Raises:
        DataError: The folder is missing or not laid out as the source expects.
        ConfigError: `keep` cannot be read, or names a column that no scan has.
    """
    if source in DOWNLOADS:
        found = DOWNLOADS[source](root, n_subjects)
    else:
        _check_root(root)
        found = SOURCES[source](root)
    return first_subjects(_one_a_run(keep_scans(found, keep)), n_subjects)


def _check_root(root: Path) -> None:
    try:
        root.stat()
    except FileNotFoundError:
        raise DataError(f"{root}: no such file or folder. Point --root at the data set.") from None
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error.strerror}). Give yourself access to the data set.") from None


def _one_a_run(found: Found) -> Found:
    """Of records with the same key keep the first."""
    kept: dict[str, ScanRecord] = {}
    refused = list(found.refused)
    for record in found.records:
        if (first := kept.setdefault(record.key, record)) is not record:
            refused.append((record.path, _twice(record, first)))
    return replace(found, records=list(kept.values()), refused=refused)


def _twice(record: ScanRecord, first: ScanRecord) -> str:
    if (record.subject, record.session, record.run) == (first.subject, first.session, first.run):
        return f"same subject, session and run as {first.path}, which is taken"
    return f"named {record.key} in a store, as is {first.path}, which is taken; rename its subject, session or run"
