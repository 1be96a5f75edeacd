import pytest

from fmrifm.report.cohort import cohort_sections

SCANS = """scan\tsubject\tsite\ttr_s\tn_volumes\tcoverage\tdx\tage
a1\ta\tNorth\t2\t100\t0.5\t1\t8
a2\ta\tNorth\t2\t120\t0.7\t1\t9
b1\tb\tNorth\t2\t140\t0.9\t0\t
c1\tc\tSouth\t2.5\t80\t1\t\t
"""


@pytest.fixture
def run(make_run):
    run = make_run("finetune")
    (run.path / "scans.tsv").write_text(SCANS)
    return run


def test_scans_are_counted_by_scan_and_labels_by_subject(run):
    (section,) = cohort_sections([run])
    assert section.sentences[0] == "4 scans of 3 subjects from 2 sites."
    (table,) = section.tables
    assert table.columns[:5] == ["site", "scans", "controls", "cases", "unlabelled"]
    assert [row[:5] for row in table.rows] == [["North", "3", "1", "1", "0"], ["South", "1", "0", "0", "1"]]


def test_quantities_are_median_and_range_in_their_units(run):
    (section,) = cohort_sections([run])
    north, south = section.tables[0].rows
    assert section.tables[0].columns[5:] == ["TR (s)", "volumes", "age (years)", "brain covered (%)"]
    assert north[5:] == ["2.00", "120 (100 to 140)", "8.5 (8.0 to 9.0)", "70 (50 to 90)"]
    assert south[5:] == ["2.50", "80", "–", "100"]


def test_the_label_is_the_target_of_the_classifier(run):
    (run.path / "config.yaml").write_text("target: smoker\n")
    (run.path / "scans.tsv").write_text("scan\tsubject\tsite\tsmoker\tdx\n1\ta\tX\t0\t1\n")
    (section,) = cohort_sections([run])
    assert section.tables[0].columns == ["site", "scans", "controls"]
    assert "column smoker" in section.pictures[0].caption


def test_rescued_and_lost_regions_are_named(run):
    words = " ".join(cohort_sections([run])[0].sentences)
    assert "24 regions" in words
    assert "one voxel: LC_L." in words
    assert "left out: Thal_Re_R." in words


def test_runs_without_a_scan_table_have_no_cohort_section(run):
    (run.path / "scans.tsv").unlink()
    assert cohort_sections([run]) == []


def test_more_than_two_classes_are_counted_by_number(run):
    rows = "".join(f"{k}\t{k}\tX\t{dx}\n" for k, dx in enumerate(["0", "1", "2", "3", "3", ""]))
    (run.path / "scans.tsv").write_text(f"scan\tsubject\tsite\tdx\n{rows}")
    (section,) = cohort_sections([run])
    assert section.tables[0].columns[2:] == ["label 0", "label 1", "label 2", "label 3", "unlabelled"]
    assert section.tables[0].rows[0][2:] == ["1", "1", "1", "2", "1"]
    assert "X: 1 label 0, 1 label 1, 1 label 2, 2 label 3, 1 unlabelled" in section.pictures[0].svg
    assert "case" not in section.pictures[0].caption
