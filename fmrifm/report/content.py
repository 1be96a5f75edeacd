"""What the page is made of: sections of sentences, tables and pictures.

Builders fill these and the template draws them; every string is plain text that the template escapes.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup
from matplotlib.figure import Figure

MISSING = "–"
_LONGEST_NAME = 180
"""Bytes of a file name; file systems take 255."""


class Rounded(str):
    """A number as the page shows it, which remembers what it was rounded from."""

    value: str
    """The number with 12 significant digits, empty where it is missing."""

    def __new__(cls, text: str, value: float | None) -> "Rounded":
        """Keep the number beside its text."""
        rounded = super().__new__(cls, text)
        rounded.value = f"{value:.12g}" if _known(value) else ""
        return rounded


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text under a caption; the first cell of a row is its header."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False
    """Shown on demand; it can be sorted, searched and downloaded with unrounded numbers."""

    @property
    def file_name(self) -> str:
        """What it is called when a reader downloads it."""
        return f"{file_stem(self.caption)}.tsv"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An inline SVG with the words for those who cannot see it."""

    svg: Markup
    caption: str
    figure: Figure = field(repr=False)
    """What it was drawn from, in the colours of print."""
    wide: bool = False
    """Takes a row of its own, with the caption beside it where there is room."""


@dataclass(frozen=True, kw_only=True)
class View:
    """A document of its own to move around in, shown in a sandboxed frame that can load nothing."""

    html: str
    """The document; its scripts stand inside."""
    caption: str
    alt: str
    """What it shows, for those who cannot see it."""


@dataclass(frozen=True, kw_only=True)
class Code:
    """Preformatted text, such as commands or a recipe."""

    caption: str
    text: str
    folded: bool = False


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of the page; empty parts are not drawn."""

    title: str
    sentences: Sequence[str] = ()
    points: Sequence[str] = ()
    """Sentences that stand in a list, one a line."""
    pictures: Sequence[Picture] = ()
    views: Sequence[View] = ()
    tables: Sequence[Table] = ()
    codes: Sequence[Code] = ()
    parts: Sequence["Section"] = ()
    """Smaller sections inside, each under its own heading."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that a report shows."""

    title: str
    about: Sequence[str]
    """What the report is on, above the heading."""
    sections: Sequence[Section]
    """In reading order."""
    banners: Sequence[tuple[str, str]] = ()
    """What a reader must know before any number, as a few words and a sentence each."""
    alarms: Sequence[str] = ()
    """What may make the numbers wrong, in red."""
    summary: Sequence[str] = ()
    """Its first words."""


def number(value: float | None, decimals: int = 2) -> Rounded:
    """Write a number with a true minus sign, and none before a 0; a dash stands for a missing one."""
    return Rounded(f"{value:z.{decimals}f}".replace("-", "−") if _known(value) else MISSING, value)


def significant(value: float | None, digits: int = 3) -> Rounded:
    """Write a number with so many significant digits."""
    return Rounded(f"{value:.{digits}g}".replace("-", "−") if _known(value) else MISSING, value)


def file_stem(*words: str) -> str:
    """Make a file name without suffix of a caption's first sentence, or of several words."""
    stems = [re.sub(r"\W+", "_", re.split(r"[.:] ", text)[0]).strip("_").lower() for text in words]
    return "-".join(stems).encode()[:_LONGEST_NAME].decode(errors="ignore")


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def listed(words: Sequence[str]) -> str:
    """Join words as in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def counted(count: int, word: str) -> str:
    """Write a count with its noun: 1 scan, 2 scans."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"
