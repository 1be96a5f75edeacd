"""Figures as inline SVG that takes its colours and font from the page.

So one drawing serves light, dark and print: a figure is drawn in the colours of print, and in
the SVG of the page each of them becomes a CSS variable.
"""

import hashlib
import io
import re
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from fmrifm.report.content import Picture

# Odd enough that nothing else in a figure has the same colour.
INK, MUTED, LINE, FIRST, SECOND, PAPER = "#0a0b01", "#444546", "#babbbc", "#0b62a8", "#c4570a", "#fefffe"
_VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", FIRST: "first", SECOND: "second", PAPER: "paper"}

WIDTH = 4.0
"""Inches; narrow, so that the text stays legible when a phone scales the drawing down."""

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fmrifm",
    "text.parse_math": False,  # a region may be called a$b$c
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "lines.linewidth": 1.6,
}
"""Settings for `matplotlib.rc_context`, around drawing and saving alike."""


def picture(figure: Figure, *, alt: str, caption: str, wide: bool = False) -> Picture:
    """Turn a figure into an inline SVG.

    Args:
        figure: Drawn under `STYLE`, with the colours of this module.
        alt: What the figure shows, for those who cannot see it.
        caption: What stands below it.
        wide: Whether it takes a row of its own.
    """
    buffer = io.StringIO()
    unwanted = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", transparent=True, metadata=unwanted)
    return Picture(svg=_inline(buffer.getvalue(), alt), caption=caption, figure=figure, wide=wide)


def _inline(svg: str, alt: str) -> Markup:
    svg = svg[svg.index("<svg") :]
    head, body = svg.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    body = re.sub(r"<style.*?</style>", "", body, count=1, flags=re.DOTALL)
    body = _unique_ids(body, key=f"f{hashlib.sha256(svg.encode()).hexdigest()[:8]}")
    for colour, name in _VARIABLES.items():
        body = body.replace(colour, f"var(--{name})")
    # Matplotlib has escaped the text inside; what is added here is escaped by hand.
    return Markup(f'<svg role="img" aria-label="{escape(alt)}" {view[0] if view else ""}>{body}')  # noqa: S704


def _unique_ids(body: str, key: str) -> str:
    """Keep the ids that something refers to, and make them unique on a page of many figures."""
    used = set(re.findall(r'(?:xlink:href="|url\()#([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda match: f' id="{key}-{match[1]}"' if match[1] in used else "", body)
    return re.sub(r'(xlink:href="|url\()#', rf"\g<1>#{key}-", body)
