import shutil
from pathlib import Path

import pytest

from fmrifm.data.scan import ScanRecord
from fmrifm.data.sources import athena

TABLE = (
    "Age,ScanDir ID,Gender,DX,Handedness,Secondary Dx ,IQ Measure,Full2 IQ,Full4 IQ,QC_Rest_1,QC_Rest_2\n"
    "10.5,10042,0,0,1, ,2,N/A,122,1,0\n"
    "9.25,10043,1,3,L,ODD,3,98,-999,N/A,1\n"
    "8,10044,,pending,-999,,1,N/A,,1,\n"
)


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def scan(site: Path, subject: str, *, session: int = 1, rest: int = 1, prefix: str = "sfnwmrda") -> Path:
    return touch(site / subject / f"{prefix}{subject}_session_{session}_rest_{rest}.nii.gz")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    site = tmp_path / "data" / "KKI_preproc" / "KKI"
    for subject in ("0010042", "0010043", "0010044", "0099999"):
        scan(site, subject)
    (site / "KKI_phenotypic.csv").write_text(TABLE)
    return tmp_path / "data"


def by_subject(root: Path) -> dict[str, ScanRecord]:
    return {record.subject: record for record in athena.find(root).records}


def test_a_scan_gets_its_row_although_tables_drop_leading_zeros(root: Path) -> None:
    record = by_subject(root)["0010042"]
    assert (record.key, record.site, record.session, record.run) == ("0010042_ses-1_run-1", "KKI", "1", "1")
    assert record.columns == {
        "dx": 0, "dx_subtype": 0, "age": 10.5, "sex": "F", "handedness": 1, "iq": 122, "qc_rest": 1,
    }  # fmt: skip


def test_subtypes_become_one_label_and_the_code_of_the_iq_test_is_no_iq(root: Path) -> None:
    columns = by_subject(root)["0010043"].columns
    assert (columns["dx"], columns["dx_subtype"]) == (1, 3)
    assert columns["iq"] == 98
    assert (columns["sex"], columns["handedness"], columns["qc_rest"]) == ("M", 0, None)


def test_codes_of_missing_values_become_none(root: Path) -> None:
    columns = by_subject(root)["0010044"].columns
    assert [columns[name] for name in ("dx", "dx_subtype", "sex", "handedness", "iq")] == [None] * 5
    assert columns["age"] == 8


def test_a_scan_without_a_row_stays_without_labels(root: Path) -> None:
    assert set(by_subject(root)["0099999"].columns.values()) == {None}


def test_the_test_set_fills_what_the_site_leaves_out(root: Path) -> None:
    (root / "tables").mkdir()
    (root / "tables" / "allSubs_testSet_phenotypic_dx.csv").write_text(
        "Disclaimer,ID,Site,Gender,Age,DX\n,10044,3,1,7,2\n,99999,3,0,12,0\n,10042,3,1,77,1\n"
    )
    records = by_subject(root)
    assert (records["0010044"].columns["dx"], records["0010044"].columns["dx_subtype"]) == (1, 2)
    assert (records["0010044"].columns["sex"], records["0010044"].columns["age"]) == ("M", 8)
    assert (records["0099999"].columns["dx"], records["0099999"].columns["age"]) == (0, 12)
    assert (records["0010042"].columns["dx"], records["0010042"].columns["age"]) == (0, 10.5)


def test_of_a_filtered_and_an_unfiltered_file_the_filtered_is_kept(root: Path) -> None:
    unfiltered = scan(root / "KKI_preproc" / "KKI", "0010042", prefix="snwmrda")
    found = athena.find(root)
    assert [record.path.name for record in found.records if record.subject == "0010042"] == [
        "sfnwmrda0010042_session_1_rest_1.nii.gz"
    ]
    [(path, reason)] = found.refused
    assert path == unfiltered
    assert "unfiltered copy" in reason


def test_an_unfiltered_file_alone_is_taken(root: Path) -> None:
    scan(root / "KKI_preproc" / "KKI", "0010050", prefix="snwmrda")
    assert by_subject(root)["0010050"].path.name.startswith("snwmrda")


def test_runs_and_sessions_have_their_own_keys_and_quality(root: Path) -> None:
    site = root / "KKI_preproc" / "KKI"
    scan(site, "0010042", rest=2)
    scan(site, "0010042", session=2)
    records = {record.key: record for record in athena.find(root).records}
    assert records["0010042_ses-1_run-2"].columns["qc_rest"] == 0
    assert records["0010042_ses-2_run-1"].columns["qc_rest"] is None


def test_other_files_of_a_subject_are_left_alone(root: Path) -> None:
    subject = root / "KKI_preproc" / "KKI" / "0010042"
    for name in ("wssd0010042_session_1_anat.nii.gz", "wmean_mrda0010042_session_1_rest_1.nii.gz"):
        touch(subject / name)
    found = athena.find(root)
    assert len(found.records) == 4
    assert found.refused == []


def test_the_root_may_be_a_site_and_the_inner_folder_may_be_missing(root: Path) -> None:
    scan(root / "NYU_preproc", "0010100")
    assert {record.site for record in athena.find(root).records} == {"KKI", "NYU"}
    assert [record.subject for record in athena.find(root / "NYU_preproc").records] == ["0010100"]
    assert len(athena.find(root / "KKI_preproc").records) == 4


def test_real_tables_are_read(test_data: Path, tmp_path: Path) -> None:
    tables = test_data / "adhd200_phenotypic"
    for site, subject in (
        ("KKI", "2371032"),
        ("NYU", "1023964"),
        ("Brown_TestRelease", "0026001"),
        ("OHSU", "1084884"),
    ):
        scan(tmp_path / f"{site}_preproc" / site, subject)
        shutil.copy(tables / f"{site}_phenotypic.csv", tmp_path / f"{site}_preproc" / site)
    shutil.copy(tables / "allSubs_testSet_phenotypic_dx.csv", tmp_path)
    records = by_subject(tmp_path)
    assert records["2371032"].columns == {
        "dx": 0, "dx_subtype": 0, "age": 10.73, "sex": "F", "handedness": 1, "iq": 122, "qc_rest": 1,
    }  # fmt: skip
    assert (records["1023964"].columns["dx_subtype"], records["1023964"].columns["handedness"]) == (3, 0.57)
    assert records["1084884"].columns["iq"] == 106
    brown = records["0026001"].columns
    assert (brown["dx"], brown["age"], brown["iq"]) == (1, 16.92, 120)  # pending in the table of the site
