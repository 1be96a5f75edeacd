"""BIDS derivatives as fMRIPrep writes them.

sub-*/[ses-*/]func/*_space-MNI*_desc-preproc_bold.nii.gz   the scans; other spaces are left alone
sub-*/[ses-*/]func/*_space-MNI*_desc-preproc_bold.json     RepetitionTime in seconds
sub-*/[ses-*/]func/*_space-MNI*_desc-brain_mask.nii.gz     the brain in the same space
sub-*/[ses-*/]func/*_desc-confounds_timeseries.tsv         nuisance time courses
participants.tsv                                           site, dx, age, sex, ...
"""

import glob
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
from nilearn.interfaces.bids import get_bids_files, parse_bids_filename

from fmrifm.data.scan import Found, ScanRecord, Value, parse_value, read_table
from fmrifm.data.sources.folders import unreadable
from fmrifm.errors import DataError

_SPACES = ("MNI152NLin2009cAsym", "MNI152NLin6Asym")
"""The spaces to prefer: fMRIPrep's default, next to that of nilearn's grid; then that of FSL."""
_FOLDERS = ("sub-*", "sub-*/ses-*", "sub-*/func", "sub-*/ses-*/func")

Cells = dict[str, Value]
"""One row of participants.tsv, cell by column."""


def find(root: Path) -> Found:
    """Find every preprocessed run in an MNI space, the best version of a run first.

    Best is MNI152NLin2009cAsym, then MNI152NLin6Asym, then any other; in one space the resolution
    at which it was measured (no `res`), then the coarsest: the grid is coarser than all of them.

    Raises:
        DataError: There is none, or participants.tsv cannot be read.
    """
    # The root is a place, not a pattern, whatever its name holds.
    pattern = glob.escape(str(root))
    files = get_bids_files(pattern, file_tag="desc-preproc_bold", file_type="nii*", modality_folder="func")
    scans = [Path(file) for file in files if "_space-MNI" in Path(file).name]
    if not scans:
        raise DataError(
            f"{root}: no sub-*/func/*space-MNI*_desc-preproc_bold.nii.gz ({len(files)} runs in other spaces). "
            "Point --root at the fMRIPrep output, run with an MNI --output-spaces."
        )
    found = Found([], list(_closed_folders(root)))
    table, people = _participants(root)
    for path in sorted(scans, key=_rank):
        try:
            found.records.append(record_of(path, table, people))
        except DataError as error:
            found.refused.append((path, str(error)))
        except OSError as error:
            found.refused.append((path, unreadable("scan", error)))
    return found


def _rank(path: Path) -> tuple[object, ...]:
    """Runs in order of their names; of one run the versions from best to worst."""
    entities = parse_bids_filename(path)["entities"]
    space, res = entities["space"], entities.get("res")
    preferred = _SPACES.index(space) if space in _SPACES else len(_SPACES)
    number = re.search(r"\d+", res or "")
    return str(path.parent), _run_name(path), preferred, space, res is not None, -int(number[0] if number else 0), path


def _run_name(path: Path) -> str:
    return path.name.split("_space-")[0]


def _closed_folders(root: Path) -> Iterator[tuple[Path, str]]:
    """Folders where scans would lie, but that may not be read: a pattern just passes them over."""
    for pattern in _FOLDERS:
        for folder in sorted(root.glob(pattern)):
            try:
                os.scandir(folder).close()
            except NotADirectoryError:
                continue
            except OSError as error:
                yield folder, unreadable("folder", error)


def record_of(path: Path, table: Path | None = None, people: Mapping[str, Cells] | None = None) -> ScanRecord:
    """One run by the name that fMRIPrep gave it, with the confounds, mask and sidecar that lie beside it.

    Raises:
        DataError: What lies beside it cannot be read, or its subject is not in the table.
    """
    entities = parse_bids_filename(path)["entities"]
    subject = entities["sub"]
    people = people or {}
    if table is not None and f"sub-{subject}" not in people:
        raise DataError(f"sub-{subject} is not in {table}; add its row, or remove the scan")
    columns = dict(people.get(f"sub-{subject}", {}))
    task = entities.get("task")
    # Runs that differ in task, acquisition, reconstruction or direction alone need names of their own.
    parts = [None if task == "rest" else task, *(entities.get(name) for name in ("acq", "rec", "dir", "run", "echo"))]
    confounds = _beside(path, "desc-confounds_timeseries.tsv") or _beside(path, "desc-confounds_regressors.tsv")
    return ScanRecord(
        path=path,
        subject=subject,
        session=entities.get("ses") or "1",
        run="-".join(part for part in parts if part) or "1",
        site=str(columns.pop("site", None) or "unknown"),
        sidecar_tr_s=_repetition_time(path),
        confounds=confounds,
        brain_mask=_mask(path),
        columns={
            **columns,
            "mean_fd": _mean_displacement(confounds),
            "space": entities["space"],
            "res": entities.get("res"),
        },
    )


def _participants(root: Path) -> tuple[Path | None, dict[str, Cells]]:
    """Rows of participants.tsv by participant; the table of the raw data set also serves DATASET/derivatives/NAME."""
    folders = [root, root.parent.parent] if root.parent.name == "derivatives" else [root]
    path = next((path for folder in folders if (path := folder / "participants.tsv").exists()), None)
    if path is None:
        return None, {}
    table = read_table(path)
    if "participant_id" not in table:
        raise DataError(f"{path}: columns {list(table)}, expected `participant_id`. Name the column as BIDS does.")
    if (twice := table["participant_id"].duplicated()).any():
        raise DataError(f"{path}: {table['participant_id'][twice].iloc[0]} has two rows. Keep one row a participant.")
    rows = table.set_index("participant_id").to_dict(orient="index")
    return path, {str(who): {str(name): parse_value(text) for name, text in row.items()} for who, row in rows.items()}


def _repetition_time(path: Path) -> float | None:
    sidecar = path.with_name(path.name.split(".")[0] + ".json")
    if not sidecar.exists():
        return None
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"its sidecar {sidecar.name} cannot be read ({error}); write it again, or remove it") from None
    tr_s = content.get("RepetitionTime") if isinstance(content, dict) else content
    if tr_s is not None and (isinstance(tr_s, bool) or not isinstance(tr_s, int | float)):
        raise DataError(f"its sidecar {sidecar.name} has RepetitionTime {tr_s!r}, expected seconds; correct it")
    return tr_s


def _beside(path: Path, ending: str) -> Path | None:
    file = path.with_name(f"{_run_name(path)}_{ending}")
    return file if file.exists() else None


def _mask(path: Path) -> Path | None:
    mask = path.with_name(path.name.replace("_desc-preproc_bold.nii", "_desc-brain_mask.nii"))
    return mask if mask.exists() else None


def _mean_displacement(confounds: Path | None) -> float | None:
    """Mean framewise displacement in mm; the first volume has none."""
    if confounds is None:
        return None
    try:
        table = pd.read_csv(confounds, sep="\t", usecols=lambda name: name == "framewise_displacement", na_values="n/a")
        displacement = table.apply(pd.to_numeric).mean()
    except (OSError, ValueError) as error:
        raise DataError(f"its confounds {confounds.name} cannot be read ({error}); write them again") from None
    return None if displacement.isna().all() else float(displacement.iloc[0])
