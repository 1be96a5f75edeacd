"""Every command of the README and the documentation is one that fmrifm understands; the documentation builds."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fmrifm.recipes import parse
from tests.docs.pages import PAGES, ROOT, blocks

INLINE = re.compile(r"`(fmrifm [a-z]+ [^`]*--[^`]*)`")
"""Commands with options within a sentence."""
PLACEHOLDERS = re.compile(r"\b[A-Z]{3,}\b|\.\.\.")


def commands() -> list[str]:
    """Every command of a block or a sentence."""
    found = []
    for page in PAGES:
        found += [line for block in blocks(page) for line in block.lines if line.startswith("fmrifm ")]
        found += [line for line in INLINE.findall(page.read_text()) if not PLACEHOLDERS.search(line)]
    return list(dict.fromkeys(found))


def test_there_are_commands_to_look_at() -> None:
    assert len(commands()) > 15


@pytest.mark.parametrize("command", commands())
def test_a_command_is_understood(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, name, *words = shlex.split(command, comments=True)
    monkeypatch.chdir(tmp_path)
    if name == "attribute" and "demo/attribute/config.yaml" in words:
        Path("demo/attribute").mkdir(parents=True)
        Path("demo/attribute/config.yaml").write_text("store: a\ncheckpoint: b\nout: c\n")
    assert parse(name, words)


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(ROOT / "docs"), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    assert "Cerebellum" in (tmp_path / "gallery" / "plot_2_pretrain.html").read_text()
