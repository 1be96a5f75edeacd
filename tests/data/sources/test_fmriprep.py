import json
from pathlib import Path

import pytest

from fmrifm.data.scan import ScanRecord
from fmrifm.data.sources import fmriprep
from fmrifm.errors import DataError

SPACE = "space-MNI152NLin2009cAsym"


def bold(func: Path, entities: str, *, tr_s: float | None = None, space: str = SPACE) -> Path:
    func.mkdir(parents=True, exist_ok=True)
    (path := func / f"{entities}_{space}_desc-preproc_bold.nii.gz").touch()
    if tr_s is not None:
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps({"RepetitionTime": tr_s}))
    return path


def by_key(root: Path) -> dict[str, ScanRecord]:
    return {record.key: record for record in fmriprep.find(root).records}


def test_scans_are_found_with_and_without_sessions(tmp_path: Path) -> None:
    bold(tmp_path / "sub-01" / "func", "sub-01_task-rest", tr_s=2.5)
    bold(tmp_path / "sub-02" / "ses-pre" / "func", "sub-02_ses-pre_task-rest_run-2")
    records = by_key(tmp_path)
    assert set(records) == {"01_ses-1_run-1", "02_ses-pre_run-2"}
    assert [record.tr_s for record in records.values()] == [2.5, None]


def test_only_mni_spaces_are_taken_and_their_absence_is_told(tmp_path: Path) -> None:
    bold(tmp_path / "sub-01" / "func", "sub-01_task-rest", space="space-T1w")
    with pytest.raises(DataError, match=r"\(1 runs in other spaces\)"):
        fmriprep.find(tmp_path)
    bold(tmp_path / "sub-01" / "func", "sub-01_task-rest")
    assert len(fmriprep.find(tmp_path).records) == 1


def test_tasks_and_directions_have_their_own_keys(tmp_path: Path) -> None:
    for entities in ("sub-01_task-rest", "sub-01_task-nback", "sub-01_task-rest_dir-AP_run-1"):
        bold(tmp_path / "sub-01" / "func", entities)
    assert set(by_key(tmp_path)) == {"01_ses-1_run-1", "01_ses-1_run-nback", "01_ses-1_run-AP-1"}


@pytest.mark.parametrize("derivatives", [False, True])
def test_participants_give_site_label_and_covariates(tmp_path: Path, derivatives: bool) -> None:
    root = tmp_path / "derivatives" / "fmriprep" if derivatives else tmp_path
    for subject in ("01", "02", "03"):
        bold(root / f"sub-{subject}" / "func", f"sub-{subject}_task-rest")
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tdx\tage\tsex\tsite\nsub-01\t1\t9.5\tF\tOslo\nsub-02\tn/a\tn/a\tM\tn/a\n"
    )
    one, two, three = fmriprep.find(root).records
    assert (one.site, dict(one.columns)) == ("Oslo", {"dx": 1, "age": 9.5, "sex": "F", "mean_fd": None})
    assert (two.site, two.columns["dx"], two.columns["age"]) == ("unknown", None, None)
    assert (three.site, dict(three.columns)) == ("unknown", {"mean_fd": None})


def test_participants_without_the_bids_column_are_refused(tmp_path: Path) -> None:
    bold(tmp_path / "sub-01" / "func", "sub-01_task-rest")
    (tmp_path / "participants.tsv").write_text("subject\tdx\n01\t1\n")
    with pytest.raises(DataError, match="expected `participant_id`"):
        fmriprep.find(tmp_path)


@pytest.mark.parametrize("ending", ["timeseries", "regressors"])
def test_confounds_lie_beside_and_give_the_mean_displacement(tmp_path: Path, ending: str) -> None:
    path = bold(tmp_path / "sub-01" / "func", "sub-01_task-rest")
    confounds = path.with_name(f"sub-01_task-rest_desc-confounds_{ending}.tsv")
    confounds.write_text("trans_x\tframewise_displacement\n0\tn/a\n1\t0.1\n2\t0.3\n")
    [record] = fmriprep.find(tmp_path).records
    assert record.confounds == confounds
    assert record.columns["mean_fd"] == pytest.approx(0.2)
