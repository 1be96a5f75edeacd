from pathlib import Path

import pytest

from fmrifm.data.scan import Found, ScanRecord, Value
from fmrifm.data.sources.selection import first_subjects, keep_scans, parse_condition
from fmrifm.errors import ConfigError


def record(subject: str, site: str = "NYU", **columns: Value) -> ScanRecord:
    return ScanRecord(path=Path(f"{subject}.nii"), subject=subject, site=site, columns=columns)


FOUND = Found(
    [
        record("0010001", qc_rest=1, filtered=True, dx=0),
        record("0010002", qc_rest=0, filtered=False, dx=None),
        record("3", "KKI", qc_rest=None, filtered=True, dx=2),
        record("4", "Peking 1", qc_rest=1.0, filtered=False, note="left early"),
    ],
    [(Path("broken.nii"), "broken")],
)


@pytest.mark.parametrize(
    ("keep", "subjects"),
    [
        ("qc_rest=1", ["0010001", "4"]),
        ("qc_rest!=0", ["0010001", "3", "4"]),
        ("site!=NYU", ["3", "4"]),
        ("site = Peking 1", ["4"]),
        ("subject=0010002", ["0010002"]),
        ("run=1", ["0010001", "0010002", "3", "4"]),
        ("filtered=true", ["0010001", "3"]),
        ("filtered=0", ["0010002", "4"]),
        ("note=left early", ["4"]),
        ("dx!=n/a", ["0010001", "3"]),
        ("site=nyu", []),
    ],
)
def test_a_condition_keeps_the_scans_that_meet_it(keep: str, subjects: list[str]) -> None:
    assert [scan.subject for scan in keep_scans(FOUND, [keep]).records] == subjects


def test_all_conditions_have_to_hold_and_what_fails_is_refused_by_the_first(tmp_path: Path) -> None:
    found = keep_scans(FOUND, ["qc_rest=1", "site!=NYU"])
    assert [scan.subject for scan in found.records] == ["4"]
    assert found.refused == [
        (Path("broken.nii"), "broken"),
        (Path("0010001.nii"), "left out by keep: site is NYU, asked site!=NYU"),
        (Path("0010002.nii"), "left out by keep: qc_rest is 0, asked qc_rest=1"),
        (Path("3.nii"), "left out by keep: qc_rest is missing, asked qc_rest=1"),
    ]
    assert len(FOUND.refused) == 1  # what was given is not changed


@pytest.mark.parametrize("text", ["qc_rest", "", "=1", "qc_rest=", "qc_rest==1", "!=1", "a!b=1", "qc_rest= "])
def test_a_condition_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected COLUMN=VALUE or COLUMN!=VALUE, e\.g\. qc_rest=1"):
        keep_scans(FOUND, [text])


def test_a_value_may_hold_what_a_condition_consists_of() -> None:
    condition = parse_condition("note!=a=b!=c")
    assert (condition.column, condition.equal, condition.asked) == ("note", False, "a=b!=c")


def test_a_column_that_no_scan_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"column 'QC_Rest'; choose one of subject, session, run, site, dx, filtered"):
        keep_scans(FOUND, ["QC_Rest=1"])


def test_a_trial_takes_whole_subjects_and_counts_the_scans_beyond() -> None:
    scans = [record(subject) for subject in ("b", "c", "a", "b", "c", "c")]
    found = first_subjects(Found(scans, FOUND.refused), 2)
    assert [scan.subject for scan in found.records] == ["b", "a", "b"]
    assert (found.n_beyond, found.refused) == (3, FOUND.refused)
    assert first_subjects(Found(scans), None).n_beyond == 0
    assert first_subjects(Found(scans), 9).n_beyond == 0
