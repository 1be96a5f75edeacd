import pytest

from fmrifm.errors import DataError
from fmrifm.report.runs import read_runs


def test_a_run_tells_its_stage_cohort_and_scores(make_run):
    run = make_run("evaluate")
    assert (run.stage, run.cohort["name"], run.synthetic, run.target) == ("evaluate", "Planted trial", True, "dx")
    assert run.scores["auc"].value == 0.91
    assert list(run.baselines) == ["majority", "site", "phenotype", "motion", "connectome", "untrained"]


def test_a_folder_given_twice_is_read_once(make_run):
    run = make_run("finetune")
    assert len(read_runs([run.path, run.path / ".", run.path])) == 1


def test_runs_of_one_name_are_told_apart_by_the_folders_above(make_run):
    paths = [make_run("finetune", name).path for name in ("a/head", "b/head", "other")]
    assert [run.name for run in read_runs(paths)] == ["a/head", "b/head", "other"]
    assert read_runs(paths[:1])[0].name == "head"


@pytest.mark.parametrize(
    ("kind", "found"),
    [("missing", "nothing there"), ("file", "a file"), ("folder", "a folder without provenance.json")],
)
def test_what_is_no_run_folder_is_refused_with_what_was_found(tmp_path, kind, found):
    path = tmp_path / "thing"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("x")
    with pytest.raises(DataError, match=rf"thing: {found}; expected a run folder.*`compare`.*--run"):
        read_runs([path])


@pytest.mark.parametrize(
    ("content", "message"), [("{", "no readable JSON"), ("[]", "a list"), ("{}", "expected `stage`")]
)
def test_damaged_provenance_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "provenance.json").write_text(content)
    with pytest.raises(DataError, match=rf"provenance.json.*{message}"):
        read_runs([tmp_path])


def test_a_missing_table_is_none_and_a_table_without_a_column_is_refused(make_run):
    run = make_run("finetune")
    assert run.table("regions.tsv") is None
    with pytest.raises(DataError, match=r"predictions.tsv.*expected also \['rank'\]"):
        run.table("predictions.tsv", ["scan", "rank"])
    (run.path / "predictions.tsv").write_text("")
    with pytest.raises(DataError, match="no readable table"):
        run.table("predictions.tsv")


def test_identifiers_keep_leading_zeros_and_a_site_may_be_called_na(make_run):
    run = make_run("finetune")
    (run.path / "scans.tsv").write_text("scan\tsubject\tsite\tage\n1\t0010\tNA\t\n")
    row = run.table("scans.tsv").iloc[0]
    assert (row["subject"], row["site"]) == ("0010", "NA")
    assert row.isna()["age"]


def test_differences_are_read_and_older_folders_have_none(make_run):
    found = make_run("evaluate").differences["phenotype"]["auc"]
    assert (round(found.value, 2), round(found.ci_low, 2), found.smallest) == (0.3, 0.22, 0.11)
    assert make_run("evaluate", "old", old=True).differences == {}
