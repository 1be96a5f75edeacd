"""Forty children of ADHD-200 as nilearn distributes them, downloaded where they are not there yet.

ROOT/adhd/data/<id>/<id>_rest_tshift_RPI_voreg_mni.nii.gz               the scan, in MNI space
ROOT/adhd/data/<id>/<id>_regressors.csv                                 nuisance time courses
ROOT/adhd/ADHD200_40subs_motion_parameters_and_phenotypics.csv          diagnosis, site, age, sex, motion, ...
"""

import os
import tarfile
import zlib
from pathlib import Path
from typing import Any

from nilearn.datasets import fetch_adhd

from fmrifm.data.scan import Found, ScanRecord, Value, parse_value
from fmrifm.errors import DataError

CHILDREN = 40
"""Most that nilearn has."""
SERVER = "https://www.nitrc.org/frs/download.php/"
"""Where nilearn fetches them from."""
_ELSEWHERE = ("Unnamed: 0", "Subject", "site", "adhd", "MeanFD")
"""Columns that have a place or a word of fmrifm's own."""

Cells = dict[str, Value]
"""One child's row of the phenotypic table, cell by column."""


def find(root: Path, n_subjects: int | None = None, *, url: str | None = None) -> Found:
    """Download the first children into a folder, or find them there.

    The repetition time is left to the scans' headers: nilearn gives 2 s for every site.

    Args:
        root: Folder to keep them in; made where it is missing.
        n_subjects: How many; all forty by default.
        url: Another server with the same layout, for tests.

    Raises:
        DataError: They are not there and cannot be fetched.
    """
    children = min(n_subjects or CHILDREN, CHILDREN)
    fetched = _fetch(root, children, url)
    rows = {str(row["Subject"]): row for row in fetched.phenotypic.to_dict(orient="records")}
    found = Found([])
    for scan, confounds in zip(map(Path, fetched.func), map(Path, fetched.confounds), strict=True):
        if (subject := scan.parent.name) not in rows:
            found.refused.append((scan, f"id {subject} is not in the phenotypic table that came with it"))
            continue
        cells = {str(name): parse_value(str(value)) for name, value in rows[subject].items()}
        site = str(cells.get("site") or "unknown")
        found.records.append(
            ScanRecord(path=scan, subject=subject, site=site, confounds=confounds, columns=_columns(cells))
        )
    return found


def _fetch(root: Path, children: int, url: str | None) -> Any:
    if os.pathsep in str(root):
        raise DataError(f"{root}: nilearn takes {os.pathsep!r} in a path for the end of it. Choose another --root.")
    try:
        return fetch_adhd(n_subjects=children, data_dir=str(root), url=url)
    except (OSError, EOFError, ValueError, KeyError, tarfile.TarError, zlib.error) as error:
        raise DataError(
            f"{root}: {children} children of ADHD-200 are not all here, and fetching them with "
            f"nilearn.datasets.fetch_adhd from {url or SERVER} failed ({_why(error)}). Run it again where that "
            "address can be reached, or copy the folder `adhd` of a machine that has them into --root."
        ) from error


def _why(error: Exception) -> str:
    """Say whether there was no connection, no such file on the server, or something else."""
    if not hasattr(error, "response"):  # every error of an HTTP request has one
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return f"the server answered {error.response.status_code}" if error.response is not None else "no connection"


def _columns(cells: Cells) -> Cells:
    """Label and covariates in fmrifm's words, then everything else as nilearn returns it."""
    ours = {
        "dx": cells.get("adhd"),
        "dx_subtype": _subtype(cells),
        "age": cells.get("age"),
        "sex": cells.get("sex"),
        "handedness": cells.get("handedness"),
        "iq": next((iq for test in ("full_4_iq", "full_2_iq") if (iq := cells.get(test)) is not None), None),
        "mean_fd": cells.get("MeanFD"),
    }
    return ours | {name: value for name, value in cells.items() if name not in (*ours, *_ELSEWHERE)}


def _subtype(cells: Cells) -> Value:
    """0 control, 1 combined, 3 inattentive, as in ADHD-200's own tables; None where the table does not say."""
    if cells.get("adhd") == 0:
        return 0
    return 1 if cells.get("adhd_combined") == 1 else 3 if cells.get("adhd_inattentive") == 1 else None
