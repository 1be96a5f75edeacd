"""Every code block of the README and the documentation runs as it stands, on a small cohort and with a small model.

A page is read from top to bottom in a folder of its own, where what it says one has (ADHD-200's folders, a table of
scans) is there. Options that make a run small are added behind those of the page.
"""

import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fmrifm.cli import main
from fmrifm.data import phantom
from fmrifm.recipes import fill
from fmrifm.stages import demo
from tests.docs.pages import PAGES, ROOT, Block, blocks

TINY_MODEL = {
    "tokens.edge_voxels": 3, "tokens.window_volumes": 12, "tokens.patch_volumes": 6, "model.width": 24,
    "model.layers": 1, "model.heads": 2, "model.queries": 16, "model.components": 3, "trainer.accelerator": "cpu",
}  # fmt: skip
FEW_FOLDS = {"folds": 2, "inner_folds": 2}
SMALLER: dict[str, dict[str, Any]] = {
    "prepare": {"atlas.approximation": True, "spacing_mm": 8, "jobs": 1},
    "pretrain": {**TINY_MODEL, "trainer.max_epochs": 1, "data.windows_per_scan": 1},
    "finetune": FEW_FOLDS,
    "evaluate": {**FEW_FOLDS, "bootstrap": 20, "permutations": 4, "baselines": "connectome"},
    "attribute": {"scans": 4, "check_scans": 2, "windows_per_scan": 1, "groups": 2, "deals": 1, "bootstrap": 20},
    "compare": {
        **TINY_MODEL, **FEW_FOLDS, "steps": 2, "repeats": 1, "bootstrap": 20, "factors": "{}",
    },
    "cerebellum": {"seeds": 1, "epochs": 1, "trials": 10},
    "predict": {"granule": 50, "epochs": 1, "bootstrap": 20, "lags": 4, "context": 10, "rollout_volumes": 5},
}  # fmt: skip
"""Options that make each command take seconds; all others are those of the page."""
ELSEWHERE = {
    "pip install .": "test_packaging.py builds and installs it",
    "make demo": "it makes an environment of its own; below it is asked what it would do",
    "make test": "it would run this test in itself; below it is asked what it would do",
}
"""Lines that are not run here, and why."""


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen synthetic children at two sites, in the layout of ADHD-200."""
    return phantom.write_phantom(tmp_path_factory.mktemp("cohort") / "adhd200", subjects=(8, 8), volumes=40)


@pytest.fixture
def reader(cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages say one has; `fmrifm demo` is made small."""
    monkeypatch.chdir(tmp_path)
    scans = sorted(cohort.rglob("sfnwmrda*.nii.gz"))
    shutil.copytree(cohort, "adhd200")
    for number, scan in enumerate(scans[:2], start=1):
        shutil.copy(scan, f"sub-0{number}_bold.nii.gz")
    pd.DataFrame({"path": scans, "subject": [scan.parent.name for scan in scans]}).to_csv("scans.csv", index=False)
    monkeypatch.setattr(demo, "write_phantom", lambda root, seed: shutil.copytree(cohort, root))
    monkeypatch.setattr(demo, "fill", smaller)
    return tmp_path


def smaller(command: str, recipe: str, options: Mapping[str, Any]) -> Any:
    return fill(command, recipe, {**options, **SMALLER[command]})


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_what_a_page_says_runs(page: Path, reader: Path, cohort: Path) -> None:
    images = [str(scan) for scan in sorted(cohort.rglob("sfnwmrda*.nii.gz"))]
    names: dict[str, Any] = {"images": images, "diagnosis": [number % 2 for number in range(len(images))]}
    for block in blocks(page):
        run_block(block, names)


def run_block(block: Block, names: dict[str, Any]) -> None:
    if block.language == "python":
        exec(block.text, names)
        return
    assert block.language in ("", "console"), f"nothing here runs {block.language}"
    for line in block.lines:
        run_line(line)


def run_line(line: str) -> None:
    command, *words = shlex.split(line)
    if line in ELSEWHERE:
        return
    assert command == "fmrifm", f"neither run nor said to be run elsewhere: {line}"
    name = words[0]
    added = [f"--{option}={value}" for option, value in SMALLER.get(name, {}).items()]
    assert main([*words, *added]) == 0, line


@pytest.mark.parametrize("line", ELSEWHERE)
def test_what_is_run_elsewhere_still_stands_on_a_page(line: str) -> None:
    assert any(line in block.lines for page in PAGES for block in blocks(page))


@pytest.mark.parametrize("line", [line for line in ELSEWHERE if line.startswith("make ")])
def test_make_knows_what_it_is_asked(line: str) -> None:
    done = subprocess.run([*line.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_page_with_code_is_read() -> None:
    assert {page.name for page in PAGES if blocks(page)} >= {"README.md", "adhd200.md", "start.md"}
