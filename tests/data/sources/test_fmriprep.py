import json
import os
import shutil
from pathlib import Path

import pytest

from fmrifm.data.scan import ScanRecord
from fmrifm.data.sources import find_scans, fmriprep
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


def test_scans_are_found_with_and_without_sessions_in_a_folder_of_any_name(tmp_path: Path) -> None:
    root = tmp_path / "my [data] *"
    bold(root / "sub-01" / "func", "sub-01_task-rest", tr_s=2.5)
    bold(root / "sub-02" / "ses-pre" / "func", "sub-02_ses-pre_task-rest_run-2")
    records = by_key(root)
    assert set(records) == {"01_ses-1_run-1", "02_ses-pre_run-2"}
    assert [(record.sidecar_tr_s, record.tr_s) for record in records.values()] == [(2.5, None), (None, None)]


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
    found = fmriprep.find(root)
    one, two = found.records
    file = {"mean_fd": None, "space": "MNI152NLin2009cAsym", "res": None}
    assert (one.site, dict(one.columns)) == ("Oslo", {"dx": 1, "age": 9.5, "sex": "F", **file})
    assert (two.site, two.columns["dx"], two.columns["age"]) == ("unknown", None, None)
    [(path, reason)] = found.refused
    assert path.name.startswith("sub-03")
    assert reason == f"sub-03 is not in {tmp_path / 'participants.tsv'}; add its row, or remove the scan"


def test_a_participant_with_two_rows_is_told(tmp_path: Path) -> None:
    bold(tmp_path / "sub-01" / "func", "sub-01_task-rest")
    (tmp_path / "participants.tsv").write_text("participant_id\tdx\nsub-01\t1\nsub-01\t0\n")
    with pytest.raises(DataError, match="sub-01 has two rows"):
        fmriprep.find(tmp_path)


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


@pytest.mark.parametrize("content", ["{", "[2.0]", '{"RepetitionTime": "2.0"}', '{"RepetitionTime": true}', "é"])
def test_a_damaged_sidecar_refuses_its_scan_alone(tmp_path: Path, content: str) -> None:
    bold(tmp_path / "sub-01" / "func", "sub-01_task-rest", tr_s=2.0)
    broken = bold(tmp_path / "sub-02" / "func", "sub-02_task-rest", tr_s=2.0)
    broken.with_name(broken.name.replace(".nii.gz", ".json")).write_text(content, encoding="latin-1")
    found = fmriprep.find(tmp_path)
    assert [record.subject for record in found.records] == ["01"]
    [(path, reason)] = found.refused
    assert path == broken
    assert reason.startswith(f"its sidecar {broken.name.removesuffix('.nii.gz')}.json ")


def test_a_sidecar_without_a_repetition_time_leaves_it_to_the_header(tmp_path: Path) -> None:
    path = bold(tmp_path / "sub-01" / "func", "sub-01_task-rest")
    path.with_name(path.name.replace(".nii.gz", ".json")).write_text('{"TaskName": "rest"}')
    assert fmriprep.find(tmp_path).records[0].sidecar_tr_s is None


def test_the_brain_mask_lies_beside_in_the_same_space(tmp_path: Path) -> None:
    func = tmp_path / "sub-01" / "func"
    bold(func, "sub-01_task-rest")
    bold(func, "sub-01_task-rest_run-2")
    mask = func / f"sub-01_task-rest_{SPACE}_desc-brain_mask.nii.gz"
    mask.touch()
    (func / "sub-01_task-rest_run-2_space-T1w_desc-brain_mask.nii.gz").touch()
    assert [record.brain_mask for record in by_key(tmp_path).values()] == [mask, None]


def test_of_the_versions_of_a_run_one_is_taken_and_the_others_are_listed(tmp_path: Path) -> None:
    func = tmp_path / "sub-01" / "func"
    spaces = ["MNI152NLin2009cAsym", "MNI152NLin2009cAsym_res-2", "MNI152NLin6Asym", "MNIPediatricAsym_cohort-3_res-1"]
    best, *others = [bold(func, "sub-01_task-rest", space=f"space-{space}") for space in spaces]
    confounds = func / "sub-01_task-rest_desc-confounds_timeseries.tsv"
    confounds.write_text("framewise_displacement\nn/a\n0.5\n")
    found = find_scans("fmriprep", tmp_path)
    assert [record.path for record in found.records] == [best]
    assert found.refused == [(path, f"same subject, session and run as {best}, which is taken") for path in others]
    assert {record.confounds for record in fmriprep.find(tmp_path).records} == {confounds}
    fsl = find_scans("fmriprep", tmp_path, keep=["space=MNI152NLin6Asym"])
    assert [record.path for record in fsl.records] == [others[1]]


def test_versions_come_in_order_of_space_and_then_from_coarse_to_fine(tmp_path: Path) -> None:
    spaces = ["MNI152NLin2009cAsym_res-1", "MNI152NLin6Asym", "MNI152Lin", "MNI152NLin2009cAsym_res-02"]
    for space in spaces:
        bold(tmp_path / "sub-01" / "func", "sub-01_task-rest", space=f"space-{space}")
    found = [(record.columns["space"], record.columns["res"]) for record in fmriprep.find(tmp_path).records]
    assert found == [
        ("MNI152NLin2009cAsym", "02"), ("MNI152NLin2009cAsym", "1"), ("MNI152NLin6Asym", None), ("MNI152Lin", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "No columns to parse"), (b"framewise_displacement\nfast\n", "fast"), (b"a\tframewise\xff\n1\t2\n", "utf-8")],
)
def test_damaged_confounds_refuse_their_scan(tmp_path: Path, content: bytes, words: str) -> None:
    path = bold(tmp_path / "sub-01" / "func", "sub-01_task-rest")
    path.with_name("sub-01_task-rest_desc-confounds_timeseries.tsv").write_bytes(content)
    [(refused, reason)] = fmriprep.find(tmp_path).refused
    assert refused == path
    assert "its confounds sub-01_task-rest_desc-confounds_timeseries.tsv cannot be read" in reason
    assert words in reason


def test_a_closed_folder_is_refused_and_the_others_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bold(tmp_path / "sub-01" / "func", "sub-01_task-rest")
    (closed := tmp_path / "sub-02").mkdir()
    (tmp_path / "sub-01.html").touch()
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # the super-user may read everything, so a mode would not do
    found = fmriprep.find(tmp_path)
    assert len(found.records) == 1
    assert found.refused == [
        (closed, "this folder cannot be read (Permission denied); give yourself access to it, or take it away")
    ]


@pytest.mark.parametrize(
    ("name", "mean_fd"),
    [
        ("test_desc-confounds_regressors.tsv", 0.1077929),
        ("no_nonsteady_desc-confounds_regressors.tsv", 0.1071033),
        ("test-v21_desc-confounds_timeseries.tsv", 1.9056905),
    ],
)
def test_real_confounds_give_the_mean_displacement(name: str, mean_fd: float, test_data: Path, tmp_path: Path) -> None:
    path = bold(tmp_path / "sub-01" / "func", "sub-01_task-rest")
    confounds = path.with_name(f"sub-01_task-rest_desc-{name.split('_desc-')[1]}")
    shutil.copy(test_data / "fmriprep_confounds" / name, confounds)
    [record] = fmriprep.find(tmp_path).records
    assert record.confounds == confounds
    assert record.columns["mean_fd"] == pytest.approx(mean_fd, abs=1e-7)
