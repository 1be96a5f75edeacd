"""Code blocks of the documentation, in the order in which a reader meets them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORDS = {"benchmarks.md", "decisions.md"}
"""Pages that say what was run at the time."""
PAGES = [
    page
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
    if page.name not in RECORDS
]
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
_SPHINX = re.compile(r"\{(toctree|literalinclude)\}.*")
"""Blocks that are no code but directives, which building the documentation obeys."""


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    """As written after the fence; empty where nothing is."""
    text: str

    @property
    def lines(self) -> list[str]:
        """What is typed: prompts and comments left out, continued lines joined."""
        typed = (line.removeprefix("$ ").split("  #")[0].strip() for line in self.text.splitlines())
        return [line for line in typed if line]


def blocks(page: Path) -> list[Block]:
    """Fenced blocks of a page that hold code."""
    found = [Block(language.strip(), text) for language, text in _FENCE.findall(page.read_text())]
    return [block for block in found if not _SPHINX.fullmatch(block.language)]
