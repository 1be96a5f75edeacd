"""Charts of contributions: links in a transparent brain, and a matrix of systems."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.text import Text
from nilearn.plotting import plot_connectome
from numpy.typing import NDArray

from fmrifm.report.content import Picture, counted, significant
from fmrifm.report.heatmaps import cell_text, heatmap
from fmrifm.report.svg import FIRST, INK, MUTED, SECOND, STYLE, WIDTH, picture

_THOUSAND = 1000


@matplotlib.rc_context(STYLE)
def contribution_brain(
    lost: NDArray[np.float64], places_mm: NDArray[np.float64], names: Sequence[str], links: int
) -> Picture:
    """Draw the strongest links between regions in a transparent brain.

    Args:
        lost: R2 that region j loses when i is hidden too, shape (R, R); NaN is not drawn.
        places_mm: Centres of the regions in MNI space, shape (R, 3).
        names: Of the regions.
        links: How many links at most.
    """
    stronger = np.fmax(lost, lost.T)
    ends = np.argwhere(np.triu(~np.isnan(stronger), 1))
    strongest = ends[np.argsort(-stronger[tuple(ends.T)], kind="stable")[:links]]
    one, other = strongest.T
    drawn = np.unique(strongest)
    matrix = np.zeros(stronger.shape)
    matrix[one, other] = matrix[other, one] = stronger[one, other]
    figure = Figure(figsize=(WIDTH, 1.75))
    plot_connectome(
        matrix[np.ix_(drawn, drawn)],
        places_mm[drawn],
        node_color=FIRST,
        node_size=9,
        edge_cmap=matplotlib.colors.ListedColormap([SECOND]),
        edge_kwargs={"linewidth": 1.1, "alpha": 0.75},
        figure=figure,
        axes=(0, 0, 1, 1),
        colorbar=False,
    )
    for outline in figure.findobj(PathPatch):
        outline.set(edgecolor=MUTED, linewidth=outline.get_linewidth() / 2)
    for text in figure.findobj(Text):
        text.set(color=INK, bbox=None, size=8.5)
    least, most = stronger[one, other].min(), stronger[one, other].max()
    told = ", ".join(f"{names[a]} and {names[b]} {significant(stronger[a, b], 2)}" for a, b in strongest[:5])
    return picture(
        figure,
        alt=f"Transparent brain from the side, from behind and from above with {counted(len(strongest), 'link')}; "
        f"strongest: {told}.",
        caption=f"The {len(strongest)} strongest links; single ones may be noise. Hiding one region too "
        f"costs the other most, in either direction, from {significant(least, 2)} to {significant(most, 2)} R² lost. "
        "Dots: centres of the regions.",
        wide=True,
    )


@matplotlib.rc_context(STYLE)
def system_matrix(lost: NDArray[np.float64], systems: Sequence[str]) -> Picture:
    """Draw what each system (row) gives to each system (column), mean over pairs of regions, in R2 lost."""
    limit = float(np.nanmax(np.abs(lost))) if np.isfinite(lost).any() else 1.0
    texts = [[cell_text(_THOUSAND * value, 1) for value in row] for row in lost]
    figure, axes = heatmap(lost / (limit or 1.0), texts, systems, systems, row_height=0.26, text_size=7)
    axes.set_ylabel("gives (hidden too)")
    axes.set_xlabel("receives (loses R²)")
    row, column = divmod(int(np.argmax(np.nan_to_num(lost, nan=-np.inf))), len(systems))
    return picture(
        figure,
        alt=f"Matrix of R² lost between systems, in thousandths; the most: {systems[column]} loses "
        f"{texts[row][column]} without {systems[row]}. Rows: "
        + "; ".join(f"{name} {', '.join(cells)}" for name, cells in zip(systems, texts, strict=True))
        + ".",
        caption="What a region of one system (row) gives to a region of another (column): R² lost, in thousandths, "
        "mean over pairs. Below 0: predicted better without it.",
    )
