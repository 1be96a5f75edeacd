"""The wheel holds all that it needs and runs where there is no source tree."""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import fmrifm

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("pretrain", "evaluate", "attribute")


def _run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must not see the source tree and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def binaries(wheel, tmp_path_factory) -> Path:
    """The `bin` folder of a clean environment in which only the wheel was installed."""
    folder = tmp_path_factory.mktemp("environment")
    _run(sys.executable, "-m", "venv", folder, cwd=folder)
    _run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    return folder / "bin"


def test_pyproject_and_citation_state_the_version_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert project["version"] == citation["version"] == fmrifm.__version__


def test_make_names_every_target_by_default():
    shown = _run("make", cwd=ROOT)
    for target in ("demo", "test", "test-slow", "lint", "layers", "types", "clean"):
        assert f"make {target} " in shown


@pytest.mark.slow
def test_the_wheel_holds_the_type_marker_atlas_tables_recipes_and_report_templates(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    recipes = {f"fmrifm/_resources/pipelines/{path.name}" for path in (ROOT / "pipelines").glob("*.yaml")}
    templates = {f"fmrifm/report/templates/{path.name}" for path in (ROOT / "fmrifm/report/templates").iterdir()}
    assert recipes
    assert templates
    card = "fmrifm/templates/model_card.md.j2"
    assert {"fmrifm/py.typed", "fmrifm/_resources/atlases/aal3/regions.tsv", card} | recipes | templates <= names


@pytest.mark.slow
def test_the_installed_command_says_what_it_can_do(binaries, tmp_path):
    assert "prepare" in _run(binaries / "fmrifm", "--help", cwd=tmp_path)


@pytest.mark.slow
def test_the_demo_runs_from_the_wheel_outside_the_repository_and_finds_what_was_planted(binaries, tmp_path):
    out = tmp_path / "demo"
    _run(binaries / "fmrifm", "demo", "--out", "demo", cwd=tmp_path)
    assert "Synthetic cohort." in (out / "report.html").read_text(encoding="utf-8")
    scores = {stage: json.loads((out / stage / "metrics.json").read_text())["scores"] for stage in STAGES}
    assert scores["pretrain"]["r2_region"]["value"] > 0  # hidden regions are predicted better than by their mean
    assert scores["evaluate"]["auc"]["value"] >= 0.85
    assert scores["attribute"]["auc_planted_occlusion"]["value"] >= 0.9
