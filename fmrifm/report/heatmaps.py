"""Matrices as shaded cells with a number in each, so that colour is never the only sign.

Cells take the page's colours: the stronger, the more of the first one; below 0 of the second.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from fmrifm.report.content import number
from fmrifm.report.figures import short
from fmrifm.report.svg import FIRST, INK, PAPER, SECOND, WIDTH

_STEPS = ((0.9, 1.0), (0.7, 0.55), (0.5, 0.4), (0.3, 0.25), (0.1, 0.12))
"""Strengths and how opaque a cell is from there on; the strongest bears light text, all others dark text."""


def heatmap(
    strength: NDArray[np.float64],
    texts: Sequence[Sequence[str]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    row_height: float = 0.2,
    text_size: float = 7.5,
) -> tuple[Figure, Axes]:
    """Draw a matrix, first row on top, names of columns above.

    Args:
        strength: From -1 to 1, shape (rows, columns); NaN stays empty.
        texts: What is written in each cell.
        rows: Their names.
        columns: Their names.
        row_height: In inches.
        text_size: In points.
    """
    letters = max(len(name) for name in short(columns))
    figure = Figure(figsize=(WIDTH, 0.35 + 0.062 * letters + row_height * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for (row, column), value in np.ndenumerate(strength):
        _cell(axes, row, column, float(value), texts[row][column], text_size)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticks(range(len(columns)), short(columns), rotation=60, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), short(rows))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure, axes


def cell_text(value: float, decimals: int) -> str:
    """Write the number of a cell; what rounds to 0 has no sign."""
    return number(round(value, decimals) + 0.0, decimals)


def _cell(axes: Axes, row: int, column: int, value: float, text: str, size: float) -> None:
    opacity = next((opacity for least, opacity in _STEPS if abs(value) >= least), 0.0)
    colour = FIRST if value > 0 else SECOND
    axes.add_patch(Rectangle((column - 0.47, row - 0.45), 0.94, 0.9, color=colour, alpha=opacity, lw=0))
    ink = PAPER if opacity == 1 else INK
    axes.text(column, row, text, ha="center", va="center", size=size, color=ink)
