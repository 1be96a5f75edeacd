"""One figure for many methods: at which rank each of them puts the regions, or the systems, that lead in any."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmrifm.report.content import Picture, number
from fmrifm.report.heatmaps import heatmap
from fmrifm.report.methods import method_of
from fmrifm.report.svg import STYLE, picture

_LEADERS = 5
"""Regions that each method puts into the figure."""
_SHADES = ((3, 1.0), (10, 0.6), (20, 0.4), (40, 0.2))
"""Ranks and how strongly a cell is shaded up to each."""


@matplotlib.rc_context(STYLE)
def region_ranks(regions: Mapping[str, pd.DataFrame], planted: Sequence[int]) -> Picture:
    """Draw at which rank every method puts each method's leading regions.

    Args:
        regions: Rows of regions.tsv by method, best first.
        planted: Atlas values of regions with a planted difference; marked with a diamond.
    """
    rank = pd.DataFrame({method: rows.set_index("index")["rank"] for method, rows in regions.items()}).astype(float)
    names = pd.concat(regions.values()).drop_duplicates("index").set_index("index")["name"]
    leading = dict.fromkeys(index for rows in regions.values() for index in rows["index"].head(_LEADERS))
    asked = [method for method in rank if method_of(str(method)).of_label] or list(rank)
    order = rank.loc[list(leading), asked].median(axis=1).sort_values(kind="stable").index
    labels = [f"◆ {names[index]}" if index in planted else str(names[index]) for index in order]
    signs = " ◆: planted." if planted else ""
    caption = (
        f"Ranks of the {_LEADERS} leading regions of every method, 1 = most important, among {len(rank)}; those that "
        f"tell labels apart first. Stronger colour: a better rank.{signs}"
    )
    return _ranks(rank.loc[order], labels, "regions", caption, _SHADES)


@matplotlib.rc_context(STYLE)
def system_ranks(systems: Mapping[str, pd.DataFrame]) -> Picture:
    """Draw at which rank every method puts each system."""
    rank = pd.DataFrame({method: rows.set_index("system")["rank"] for method, rows in systems.items()}).astype(float)
    asked = [method for method in rank if method_of(str(method)).of_label] or list(rank)
    rank = rank.loc[rank[asked].median(axis=1).sort_values(kind="stable").index]
    shades = ((1, 1.0), (2, 0.6), (3, 0.4), (4, 0.2))
    caption = "Ranks of the systems by every method, 1 = most important. Stronger colour: a better rank."
    return _ranks(rank, [str(name) for name in rank.index], "systems", caption, shades)


def _ranks(
    rank: pd.DataFrame, rows: Sequence[str], what: str, caption: str, shades: Sequence[tuple[int, float]]
) -> Picture:
    values = rank.to_numpy()
    texts = [[number(value, 0) for value in row] for row in values]
    columns = [method_of(str(method)).name for method in rank]
    figure, _ = heatmap(_strength(values, shades), texts, rows, columns)
    told = "; ".join(f"{name} {', '.join(row)}" for name, row in zip(rows, texts, strict=True))
    return picture(figure, alt=f"Ranks of {what} by {', '.join(columns)}: {told}.", caption=caption)


def _strength(rank: NDArray[np.float64], shades: Sequence[tuple[int, float]]) -> NDArray[np.float64]:
    strength = np.zeros(rank.shape)
    for worst, shade in reversed(shades):
        strength[rank <= worst] = shade
    return strength
