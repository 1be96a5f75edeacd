import json
import shutil

import pytest

from fmrifm.config import ReportConfig
from fmrifm.data.store import Store
from fmrifm.errors import ConfigError, DataError
from fmrifm.stages.report import report


@pytest.fixture
def run_path(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    cohort = {"name": "Tiny", "synthetic": True, "atlas": "AAL3"}
    (folder / "provenance.json").write_text(
        json.dumps({"stage": "pretrain", "command": "fmrifm pretrain", "cohort": cohort})
    )
    return folder


def test_the_page_is_written_where_asked_and_replaced(tmp_path, run_path):
    out = tmp_path / "new" / "folder" / "report.html"
    config = ReportConfig(run=(str(run_path),), out=str(out))
    assert report(config) == out
    assert "<h1>Tiny</h1>" in out.read_text(encoding="utf-8")
    assert report(config) == out


def test_a_folder_that_is_no_run_leaves_no_page(tmp_path, run_path):
    out = tmp_path / "report.html"
    with pytest.raises(DataError, match="expected a run folder"):
        report(ReportConfig(run=(str(run_path), str(tmp_path)), out=str(out)))
    assert not out.exists()


def test_a_folder_as_page_is_refused(tmp_path, run_path):
    with pytest.raises(ConfigError, match="expected a file to write"):
        report(ReportConfig(run=(str(run_path),), out=str(tmp_path)))


def test_a_file_as_folder_of_figures_is_refused_before_anything_is_written(tmp_path, run_path):
    out, figures = tmp_path / "report.html", tmp_path / "figures.svg"
    figures.touch()
    with pytest.raises(ConfigError, match="a file; expected a folder"):
        report(ReportConfig(run=(str(run_path),), out=str(out), figures=str(figures)))
    assert not out.exists()


def test_the_whole_chain_ends_in_one_page_and_its_figures(tmp_path, pretrained_run, evaluated_run, attributed_run):
    runs, figures = tuple(map(str, (pretrained_run, evaluated_run, attributed_run))), tmp_path / "figures"
    config = ReportConfig(run=runs, out=str(tmp_path / "report.html"), figures=str(figures))
    page = report(config).read_text(encoding="utf-8")
    assert len(list(figures.glob("*.svg"))) == len(list(figures.glob("*.png"))) == page.count('<svg role="img"')
    assert "<h1>Tiny cohort</h1>" in page
    assert "Synthetic cohort." in page
    assert all(name in page for name in ("Insula_L", "Limbic", "Thal_Re_L", "connectome"))


@pytest.fixture
def copy(tmp_path, store):
    """The store in a folder of its own, so that a table beside it is this test's alone."""
    return Store(shutil.copytree(store.path, tmp_path / "own" / "c.zarr"))


def test_the_quality_of_a_store_is_a_page_with_its_refusals(tmp_path, copy):
    copy.path.with_name("quarantine.tsv").write_text("path\treason\n/scans/x.nii\tis empty\n")
    out = report(ReportConfig(store=str(copy.path), out=str(tmp_path / "qc.html")))
    page = out.read_text(encoding="utf-8")
    assert "13 scans of 12 subjects from 2 sites." in page
    assert "/scans/x.nii</th><td>is empty</td>" in page
    assert copy.fingerprint in page


def test_a_store_alone_has_a_page_that_knows_no_refusals(tmp_path, copy):
    page = report(ReportConfig(store=str(copy.path), out=str(tmp_path / "qc.html"))).read_text(encoding="utf-8")
    assert "refusals are not known" in page


@pytest.mark.parametrize("text", ["path\n/x\n", ""])
def test_a_damaged_quarantine_table_is_named(tmp_path, copy, text):
    copy.path.with_name("quarantine.tsv").write_text(text)
    with pytest.raises(DataError, match=r"quarantine\.tsv: "):
        report(ReportConfig(store=str(copy.path), out=str(tmp_path / "qc.html")))


def test_a_folder_that_is_no_store_leaves_no_page(tmp_path):
    with pytest.raises(DataError, match="no store here"):
        report(ReportConfig(store=str(tmp_path / "absent"), out=str(tmp_path / "qc.html")))
    assert not (tmp_path / "qc.html").exists()
