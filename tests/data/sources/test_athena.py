import math
import shutil
from collections import Counter
from pathlib import Path

import pytest

from fmrifm.data.scan import ScanRecord
from fmrifm.data.sources import athena, find_scans
from fmrifm.data.sources.phenotypes import read_phenotypes
from fmrifm.errors import DataError

TABLE = (
    "Age,ScanDir ID,Gender,DX,Handedness,Secondary Dx ,IQ Measure,Full2 IQ,Full4 IQ,Med Status,"
    "QC_Rest_1,QC_Rest_2,QC_Anatomical_1\n"
    "10.5,10042,0,0,1, ,2,N/A,122,1,1,0,1\n"
    "9.25,10043,1,3,L,ODD ,3,98,-999,2,N/A,1,0\n"
    "8,10044,,pending,-999,,1,N/A,,-999,1,,N/A\n"
)
TEST_SET = "allSubs_testSet_phenotypic_dx.csv"


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def scan(site: Path, subject: str, *, session: int = 1, rest: int = 1, prefix: str = "sfnwmrda") -> Path:
    return touch(site / subject / f"{prefix}{subject}_session_{session}_rest_{rest}.nii.gz")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    site = tmp_path / "my [data]" / "KKI_preproc" / "KKI"
    for subject in ("0010042", "0010043", "0010044"):
        scan(site, subject)
    (site / "KKI_phenotypic.csv").write_text(TABLE)
    return tmp_path / "my [data]"


def by_subject(root: Path) -> dict[str, ScanRecord]:
    return {record.subject: record for record in athena.find(root).records}


def refusals(root: Path) -> dict[str, str]:
    return {path.name: reason for path, reason in athena.find(root).refused}


def test_a_scan_gets_its_row_although_tables_drop_leading_zeros(root: Path) -> None:
    record = by_subject(root)["0010042"]
    assert (record.key, record.site, record.session, record.run) == ("0010042_ses-1_run-1", "KKI", "1", "1")
    assert record.columns == {
        "dx": 0, "dx_subtype": 0, "age": 10.5, "sex": "F", "handedness": 1, "iq": 122, "medicated": 0,
        "secondary_dx": None, "qc_rest": 1, "qc_anatomical": 1, "release": "train", "filtered": True,
    }  # fmt: skip


def test_subtypes_become_one_label_and_the_code_of_the_iq_test_is_no_iq(root: Path) -> None:
    columns = by_subject(root)["0010043"].columns
    assert (columns["dx"], columns["dx_subtype"]) == (1, 3)
    assert columns["iq"] == 98
    assert (columns["sex"], columns["handedness"], columns["medicated"]) == ("M", 0, 1)
    assert (columns["secondary_dx"], columns["qc_rest"], columns["qc_anatomical"]) == ("ODD", None, 0)


def test_codes_of_missing_values_become_none(root: Path) -> None:
    columns = by_subject(root)["0010044"].columns
    missing = ("dx", "dx_subtype", "sex", "handedness", "iq", "medicated", "secondary_dx", "qc_anatomical")
    assert [columns[name] for name in missing] == [None] * 8
    assert columns["age"] == 8


def test_a_scan_that_its_sites_table_does_not_list_is_refused(root: Path) -> None:
    path = scan(root / "KKI_preproc" / "KKI", "0099999")
    assert len(athena.find(root).records) == 3
    assert refusals(root) == {path.name: "id 99999 is not in KKI_phenotypic.csv; add its row, or remove the scan"}


def test_without_any_table_scans_are_taken_unlabelled(root: Path) -> None:
    (root / "KKI_preproc" / "KKI" / "KKI_phenotypic.csv").unlink()
    found = athena.find(root)
    assert (len(found.records), found.refused) == (3, [])
    assert {record.columns["dx"] for record in found.records} == {None}


@pytest.mark.parametrize("folder", ["KKI_preproc", "tables"])
def test_the_table_of_a_site_may_lie_elsewhere(root: Path, folder: str) -> None:
    (root / folder).mkdir(exist_ok=True)
    shutil.move(root / "KKI_preproc" / "KKI" / "KKI_phenotypic.csv", root / folder)
    assert by_subject(root)["0010042"].columns["age"] == 10.5


def test_the_test_set_gives_diagnoses_that_the_site_calls_pending(root: Path) -> None:
    (root / "tables").mkdir()
    (root / "tables" / TEST_SET).write_text("Disclaimer,ID,Site,Gender,Age,DX\n,10044,3,1,7,2\n,99999,3,0,12,0\n")
    scan(root / "KKI_preproc" / "KKI", "0099999")
    records = by_subject(root)
    assert (records["0010044"].columns["dx"], records["0010044"].columns["dx_subtype"]) == (1, 2)
    assert (records["0010044"].columns["sex"], records["0010044"].columns["age"]) == ("M", 8)
    assert (records["0099999"].columns["dx"], records["0099999"].columns["age"]) == (0, 12)


def test_a_scan_of_which_two_tables_say_different_things_is_refused(root: Path) -> None:
    (root / TEST_SET).write_text("ID,DX\n10042,1\n10043,3\n")
    assert set(by_subject(root)) == {"0010043", "0010044"}
    [reason] = refusals(root).values()
    assert reason == f"id 10042 has DX 0 in KKI_phenotypic.csv and 1 in {TEST_SET}; correct one of them, or remove it"


def test_a_test_release_belongs_to_its_site_and_needs_a_row_in_the_test_set(root: Path) -> None:
    folder = root / "KKI_TestRelease_preproc" / "KKI_TestRelease"
    for subject in ("0020001", "0020002"):
        scan(folder, subject)
    assert by_subject(root)["0020001"].columns["dx"] is None  # no table yet: unlabelled
    (root / TEST_SET).write_text("ID,DX,Age\n20001,1,11\n")
    (record,) = (record for record in athena.find(root).records if record.columns["release"] == "test")
    assert (record.subject, record.site, record.columns["dx"]) == ("0020001", "KKI", 1)
    [reason] = refusals(root).values()
    assert reason == f"id 20002 is not in {TEST_SET}; add its row, or remove the scan"


def test_a_diagnosis_that_adhd200_does_not_know_is_refused(root: Path) -> None:
    (root / "KKI_preproc" / "KKI" / "KKI_phenotypic.csv").write_text("ScanDir ID,DX\n10042,0\n10043,7\n10044,ADHD\n")
    assert set(by_subject(root)) == {"0010042"}
    assert [reason.split(",")[0] for reason in refusals(root).values()] == ["DX is 7", "DX is 'ADHD'"]


def test_peking_is_three_sites(root: Path) -> None:
    for number in (1, 2, 3):
        scan(root / f"Peking_{number}_preproc" / f"Peking_{number}", f"100000{number}")
    sites = {record.site for record in athena.find(root).records}
    assert sites == {"KKI", "Peking_1", "Peking_2", "Peking_3"}


def test_of_the_versions_of_a_run_the_filtered_and_smoothed_is_taken_and_the_others_are_listed(root: Path) -> None:
    site = root / "KKI_preproc" / "KKI"
    prefixes = ("snwmrda", "fnwmrda", "wmrda", "nwmrda", "swmrda")
    others = {scan(site, "0010042", prefix=prefix) for prefix in prefixes}
    found = find_scans("athena", root)
    (taken,) = (record for record in found.records if record.subject == "0010042")
    assert (taken.path.name, taken.columns["filtered"]) == ("sfnwmrda0010042_session_1_rest_1.nii.gz", True)
    reason = f"same subject, session and run as {taken.path}, which is taken"
    assert set(found.refused) == {(path, reason) for path in others}


def test_versions_come_from_best_to_worst(root: Path) -> None:
    for prefix in ("wmrda", "nwmrda", "swmrda", "snwmrda", "fnwmrda", "fwmrda"):
        scan(root / "KKI_preproc" / "KKI", "0010042", prefix=prefix)
    names = [record.path.name for record in athena.find(root).records if record.subject == "0010042"]
    order = ["sfnwmrda", "fnwmrda", "fwmrda", "snwmrda", "swmrda", "nwmrda", "wmrda"]
    assert [name.split("0010042")[0] for name in names] == order


def test_the_corrected_filter_goes_before_the_first_release(root: Path) -> None:
    fixed = scan(root / "KKI_preproc_filtfix" / "KKI", "0010042")
    found = find_scans("athena", root)
    assert [record.path for record in found.records if record.subject == "0010042"] == [fixed]
    assert len(found.refused) == 1
    assert by_subject(root)["0010042"].columns["age"] == 10.5  # the table in the other folder is the site's


def test_an_unfiltered_file_alone_is_taken_and_says_so(root: Path) -> None:
    (root / "KKI_preproc" / "KKI" / "KKI_phenotypic.csv").unlink()
    scan(root / "KKI_preproc" / "KKI", "0010050", prefix="snwmrda")
    record = by_subject(root)["0010050"]
    assert record.path.name.startswith("snwmrda")
    assert record.columns["filtered"] is False


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
    assert len(found.records) == 3
    assert found.refused == []


def test_the_root_may_be_a_site_and_the_inner_folder_may_be_missing(root: Path) -> None:
    scan(root / "NYU_preproc", "0010100")
    assert {record.site for record in athena.find(root).records} == {"KKI", "NYU"}
    assert [record.subject for record in athena.find(root / "NYU_preproc").records] == ["0010100"]
    assert len(athena.find(root / "KKI_preproc").records) == 3


def test_a_linked_site_is_entered(root: Path, tmp_path: Path) -> None:
    scan(tmp_path / "store" / "NYU", "0010100")
    (root / "NYU_preproc").symlink_to(tmp_path / "store")
    assert by_subject(root)["0010100"].path == (
        root / "NYU_preproc" / "NYU" / "0010100" / "sfnwmrda0010100_session_1_rest_1.nii.gz"
    )


def test_a_scan_in_another_subjects_folder_or_below_no_site_is_refused(root: Path) -> None:
    touch(root / "KKI_preproc" / "KKI" / "0010043" / "sfnwmrda0010044_session_1_rest_2.nii.gz")
    scan(root / "loose", "0010042")
    assert refusals(root) == {
        "sfnwmrda0010044_session_1_rest_2.nii.gz": "its name says id 0010044, its folder 0010043; put it where it "
        "belongs",
        "sfnwmrda0010042_session_1_rest_1.nii.gz": "no folder above it is named <Site>_preproc, so its site is "
        "unknown; name it so",
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("Subject,DX\n1,0\n", r"expected `ScanDir ID` or `ID`"),
        ("ScanDir ID,DX\n10042,0\nKKI-3,1\n", r"line 3 has the id 'KKI-3', expected a number"),
    ],
)
def test_a_table_without_usable_ids_is_told(root: Path, content: str, words: str) -> None:
    (root / "KKI_preproc" / "KKI" / "KKI_phenotypic.csv").write_text(content)
    with pytest.raises(DataError, match=words):
        athena.find(root)


def test_empty_lines_of_a_table_are_no_subjects(root: Path) -> None:
    (root / "KKI_preproc" / "KKI" / "KKI_phenotypic.csv").write_text(TABLE + ",,,,,,,,,,,,\n")
    assert len(athena.find(root).records) == 3


REAL = {  # dx_subtype 0, 1, 2, 3, missing; qc_rest of the first run 1, 0, missing; no sex, no IQ, medicated
    "Brown_TestRelease": ((0, 0, 0, 0, 26), (26, 0, 0), 0, 0, 0),
    "KKI": ((61, 16, 1, 5, 0), (78, 5, 0), 0, 0, 15),
    "NYU": ((99, 77, 2, 44, 0), (177, 39, 6), 1, 10, 29),
    "NeuroIMAGE": ((23, 18, 6, 1, 0), (39, 9, 0), 0, 48, 0),
    "OHSU_TestRelease": ((28, 4, 1, 1, 0), (34, 0, 0), 0, 0, 0),
    "OHSU": ((42, 23, 2, 12, 0), (66, 13, 0), 0, 0, 8),
    "Peking_1_TestRelease": ((27, 9, 1, 14, 0), (51, 0, 0), 0, 0, 5),
    "Peking_1": ((61, 7, 0, 17, 0), (80, 0, 5), 0, 0, 9),
    "Pittsburgh": ((89, 0, 0, 0, 0), (66, 23, 0), 0, 0, 0),
}


def adhd200(test_data: Path, tmp_path: Path, names: list[str]) -> Path:
    """A tree with a scan for every row of the real tables."""
    for name in names:
        table = test_data / "adhd200_phenotypic" / f"{name}_phenotypic.csv"
        for subject in read_phenotypes(table).rows:
            scan(tmp_path / f"{name}_preproc" / name.removesuffix("_TestRelease"), f"{subject:07d}")
        shutil.copy(table, tmp_path / f"{name}_preproc")
    return tmp_path


def counts(records: list[ScanRecord], column: str, values: tuple[object, ...]) -> tuple[int, ...]:
    """How often each value occurs; there must be no others."""
    counted = Counter(record.columns[column] for record in records)
    assert set(counted) <= set(values)
    return tuple(counted[value] for value in values)


@pytest.mark.parametrize("name", REAL)
def test_every_row_of_a_real_table_becomes_a_scan_with_its_label(name: str, test_data: Path, tmp_path: Path) -> None:
    subtypes, quality, no_sex, no_iq, medicated = REAL[name]
    found = athena.find(adhd200(test_data, tmp_path, [name]))
    assert (len(found.records), found.refused) == (sum(subtypes), [])
    assert {record.site for record in found.records} == {name.removesuffix("_TestRelease")}
    assert counts(found.records, "release", ("test", "train"))["TestRelease" not in name] == sum(subtypes)
    assert counts(found.records, "dx_subtype", (0, 1, 2, 3, None)) == subtypes
    assert counts(found.records, "dx", (0, 1, None)) == (subtypes[0], sum(subtypes[1:4]), subtypes[4])
    assert counts(found.records, "qc_rest", (1, 0, None)) == quality
    assert counts(found.records, "sex", ("F", "M", None))[2] == no_sex
    assert sum(record.columns["iq"] is None for record in found.records) == no_iq
    assert counts(found.records, "medicated", (1, 0, None))[0] == medicated
    assert all(5 < float(str(record.columns["age"])) < 27 for record in found.records)


def test_the_real_test_set_labels_the_releases_and_leaves_four_pending(test_data: Path, tmp_path: Path) -> None:
    names = [name for name in REAL if name.endswith("_TestRelease")]
    root = adhd200(test_data, tmp_path, names)
    shutil.copy(test_data / "adhd200_phenotypic" / TEST_SET, root)
    found = athena.find(root)
    assert (len(found.records), found.refused) == (26 + 34 + 51, [])
    sites = {
        site: [record for record in found.records if record.site == site] for site in ("Brown", "OHSU", "Peking_1")
    }
    assert counts(sites["Brown"], "dx_subtype", (0, 1, 2, 3, None)) == (0, 1, 15, 6, 4)
    assert counts(sites["OHSU"], "dx_subtype", (0, 1, 2, 3, None)) == (28, 4, 1, 1, 0)
    assert counts(sites["Peking_1"], "dx_subtype", (0, 1, 2, 3, None)) == (27, 9, 1, 14, 0)
    assert counts(found.records, "medicated", (1, 0, None))[2] == 0


def test_the_real_test_set_alone_labels_193_of_its_197_subjects(test_data: Path, tmp_path: Path) -> None:
    table = shutil.copy(test_data / "adhd200_phenotypic" / TEST_SET, tmp_path)
    for subject in read_phenotypes(Path(table)).rows:
        scan(tmp_path / "Any_TestRelease_preproc" / "Any", f"{subject:07d}")
    found = athena.find(tmp_path)
    assert (len(found.records), found.refused) == (197, [])
    assert counts(found.records, "dx_subtype", (0, 1, 2, 3, None)) == (94, 50, 17, 32, 4)
    assert counts(found.records, "qc_rest", (1, 0, None)) == (197, 0, 0)
    assert counts(found.records, "sex", ("F", "M")) == (82, 115)


def test_real_cells_are_read(test_data: Path, tmp_path: Path) -> None:
    records = by_subject(adhd200(test_data, tmp_path, ["KKI", "NYU", "OHSU", "Peking_1_TestRelease"]))
    assert records["2371032"].columns == {
        "dx": 0, "dx_subtype": 0, "age": 10.73, "sex": "F", "handedness": 1, "iq": 122, "medicated": 0,
        "secondary_dx": None, "qc_rest": 1, "qc_anatomical": 1, "release": "train", "filtered": True,
    }  # fmt: skip
    assert records["1023964"].columns["dx_subtype"] == 3
    assert math.isclose(float(str(records["1023964"].columns["handedness"])), 0.57)
    assert records["1023964"].columns["medicated"] is None
    assert (records["1084884"].columns["iq"], records["1084884"].columns["secondary_dx"]) == (106, "enuresis")
    assert (records["1038415"].columns["iq"], records["1038415"].columns["secondary_dx"]) == (107, "ODD")
