"""What is known of one scan: where it lies, whose it is, and what its table says.

A source finds records; `prepare` turns a record into a signal. Missing values are None,
never a code such as -999.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from fmrifm.errors import DataError

Value = str | int | float | None

_MISSING = {"", "n/a", "na", "nan", "none", "pending", "-999", "-999.0"}


@dataclass(frozen=True, kw_only=True)
class ScanRecord:
    """One 4D run of one subject."""

    path: Path
    """The NIfTI file."""
    subject: str
    """Identifier of the subject as written in paths, e.g. 0010042."""
    session: str = "1"
    """Session of the subject."""
    run: str = "1"
    """Run within the session."""
    site: str = "unknown"
    """Where it was measured."""
    tr_s: float | None = None
    """Repetition time in seconds where a table states one; it goes before the header's."""
    sidecar_tr_s: float | None = None
    """Repetition time in seconds that a JSON sidecar states; the header's has to agree with it."""
    confounds: Path | None = None
    """Table of nuisance time courses, one row per volume."""
    brain_mask: Path | None = None
    """Mask of the brain in the scan's own space."""
    columns: Mapping[str, Value] = field(default_factory=dict)
    """Label and covariates: dx (0 control, 1 ADHD), dx_subtype, age, sex, handedness, iq, mean_fd, ..."""

    @property
    def key(self) -> str:
        """Name of the scan in the store, unique within a data set; free of slashes, blanks and the like."""
        return re.sub(r"[^\w.-]+", "-", f"{self.subject}_ses-{self.session}_run-{self.run}")

    def row(self, root: Path) -> dict[str, Any]:
        """The record as one flat row of the scan table, with its path from the data set's folder."""
        fields = asdict(self)
        columns = fields.pop("columns")
        for name in ("confounds", "brain_mask", "sidecar_tr_s"):  # how a scan is prepared, not what it is
            fields.pop(name)
        fields["path"] = Path(os.path.relpath(self.path, root)).as_posix()
        known = {"scan": self.key, **fields}
        return known | {name: columns[name] for name in columns if name not in known}


@dataclass(frozen=True)
class Found:
    """What a source found in a folder."""

    records: list[ScanRecord]
    """Scans to prepare."""
    refused: list[tuple[Path, str]] = field(default_factory=list)
    """Files that were left out, each with the reason."""
    n_beyond: int = 0
    """Scans of subjects beyond the first `n_subjects` that were asked for; neither taken nor refused."""


def parse_value(text: str) -> Value:
    """Read a cell of a table: a number where it is one, None for the usual codes of a missing value, else the text."""
    text = text.strip()
    if text.lower() in _MISSING:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV, or a TSV by its suffix, with every cell as text.

    Raises:
        DataError: It is missing, may not be read, empty, ragged or not UTF-8.
    """
    separator = "\t" if path.suffix == ".tsv" else ","
    try:
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except ValueError as error:  # among them pandas' own errors, and what is no UTF-8
        raise DataError(f"{path}: cannot be read as a table ({error}). Save it as UTF-8 with one row a line.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check that it is there and may be read.") from None
