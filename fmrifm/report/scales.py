"""The colour scale of maps: symmetric about 0, safe for colour-blind readers."""

from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

_BLUE, _ORANGE = "#2a80d6", "#d9630a"
DIVERGING = LinearSegmentedColormap.from_list("diverging", [_BLUE, "white", _ORANGE], N=257)
"""Blue for negative and orange for positive values; white at 0."""
FADING = LinearSegmentedColormap.from_list(
    "fading", [(0, _BLUE), (0.5, f"{_BLUE}00"), (0.5, f"{_ORANGE}00"), (1, _ORANGE)], N=257
)
"""The same colours, transparent at 0, so that they lie well on light and dark."""


def limit_of(values: ArrayLike) -> float:
    """Where the scale of a map ends: the 99th percentile of its strengths above 0, so that one voxel cannot set it."""
    strength = np.abs(np.nan_to_num(np.asarray(values, dtype=np.float64)))
    return float(np.percentile(strength[strength > 0], 99)) if strength.any() else 1.0


def colour_bar(figure: Figure, limit: float, unit: str, colours: Colormap = DIVERGING, bottom: float = 0.1) -> None:
    """Draw the scale from -limit to limit at the foot of a figure.

    Args:
        figure: What it belongs to.
        limit: Value at the end of the scale.
        unit: What the colours mean, with its unit.
        colours: The scale.
        bottom: Share of the figure's height below the bar.
    """
    axes = figure.add_axes((0.2, bottom, 0.6, 0.1 / figure.get_figheight()))
    bar: Any = figure.colorbar(ScalarMappable(Normalize(-limit, limit), colours), cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.solids.set_rasterized(True)  # as shapes, see-through steps would show their seams
    bar.set_label(unit)
