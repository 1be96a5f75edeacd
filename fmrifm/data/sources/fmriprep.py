"""BIDS derivatives as fMRIPrep writes them.

sub-*/[ses-*/]func/*_space-MNI*_desc-preproc_bold.nii.gz   the scans; other spaces are left alone
sub-*/[ses-*/]func/*_desc-preproc_bold.json                RepetitionTime in seconds
sub-*/[ses-*/]func/*_desc-confounds_timeseries.tsv         nuisance time courses
participants.tsv                                           site, dx, age, sex, ...
"""

import json
from pathlib import Path

import pandas as pd
from nilearn.interfaces.bids import get_bids_files, parse_bids_filename

from fmrifm.data.scan import Found, ScanRecord, Value, parse_value, read_table
from fmrifm.errors import DataError


def find(root: Path) -> Found:
    """Find every preprocessed run in an MNI space.

    Raises:
        DataError: There is none.
    """
    files = get_bids_files(root, file_tag="desc-preproc_bold", file_type="nii*", modality_folder="func")
    scans = [Path(file) for file in files if "_space-MNI" in Path(file).name]
    if not scans:
        raise DataError(
            f"{root}: no sub-*/func/*space-MNI*_desc-preproc_bold.nii.gz ({len(files)} runs in other spaces). "
            "Point --root at the fMRIPrep output, run with an MNI --output-spaces."
        )
    people = _participants(root)
    return Found([_record(path, people) for path in scans])


def _record(path: Path, people: dict[str, dict[str, Value]]) -> ScanRecord:
    entities = parse_bids_filename(path)["entities"]
    task = entities.get("task")
    # Runs that differ in task, acquisition or direction alone need names of their own.
    parts = [None if task == "rest" else task, entities.get("acq"), entities.get("dir"), entities.get("run")]
    columns = dict(people.get(f"sub-{entities['sub']}", {}))
    confounds = _beside(path, "timeseries") or _beside(path, "regressors")
    return ScanRecord(
        path=path,
        subject=entities["sub"],
        session=entities.get("ses", "1"),
        run="-".join(part for part in parts if part) or "1",
        site=str(columns.pop("site", None) or "unknown"),
        tr_s=_repetition_time(path),
        confounds=confounds,
        columns={**columns, "mean_fd": _mean_displacement(confounds)},
    )


def _participants(root: Path) -> dict[str, dict[str, Value]]:
    """Rows of participants.tsv by participant; the table of the raw data set also serves DATASET/derivatives/NAME."""
    folders = [root, root.parent.parent] if root.parent.name == "derivatives" else [root]
    path = next((path for folder in folders if (path := folder / "participants.tsv").exists()), None)
    if path is None:
        return {}
    table = read_table(path)
    if "participant_id" not in table:
        raise DataError(f"{path}: columns {list(table)}, expected `participant_id`. Name the column as BIDS does.")
    rows = table.set_index("participant_id").to_dict(orient="index")
    return {str(who): {str(name): parse_value(text) for name, text in row.items()} for who, row in rows.items()}


def _repetition_time(path: Path) -> float | None:
    sidecar = path.with_name(path.name.split(".")[0] + ".json")
    return json.loads(sidecar.read_text()).get("RepetitionTime") if sidecar.exists() else None


def _beside(path: Path, ending: str) -> Path | None:
    confounds = path.with_name(f"{path.name.split('_space-')[0]}_desc-confounds_{ending}.tsv")
    return confounds if confounds.exists() else None


def _mean_displacement(confounds: Path | None) -> float | None:
    """Mean framewise displacement in mm; the first volume has none."""
    if confounds is None:
        return None
    table = pd.read_csv(confounds, sep="\t", usecols=lambda name: name == "framewise_displacement", na_values="n/a")
    return None if table.empty or table.iloc[:, 0].isna().all() else float(table.iloc[:, 0].mean())
