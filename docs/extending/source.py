"""A source: one function from a folder to records, known by a word."""

from pathlib import Path

from fmrifm.data.scan import Found, ScanRecord
from fmrifm.data.sources import SOURCES


def find(root: Path) -> Found:
    """One scan a folder: SITE/SUBJECT/rest.nii.gz; `age` stands in SITE/SUBJECT/age.txt."""
    found = Found([])
    for path in sorted(root.glob("*/*/rest.nii.gz")):
        age = (path.parent / "age.txt").read_text()
        folder = path.parent
        record = ScanRecord(path=path, subject=folder.name, site=folder.parent.name, columns={"age": float(age)})
        found.records.append(record)
    return found


SOURCES["mine"] = find  # PrepareConfig(source="mine", ...)
