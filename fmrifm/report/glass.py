"""A glass brain: a map projected through the whole brain, seen from three sides."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.text import Text
from nilearn.image import load_img
from nilearn.plotting import plot_glass_brain

from fmrifm.report.content import Picture
from fmrifm.report.scales import FADING, colour_bar, limit_of
from fmrifm.report.svg import INK, MUTED, STYLE, WIDTH, picture


@matplotlib.rc_context(STYLE)
def glass_brain(path: Path, unit: str, caption: str) -> Picture:
    """Draw a map through a transparent brain; along each line of sight the strongest value shows, weak ones fade.

    Args:
        path: NIfTI image in MNI space, shape (X, Y, Z).
        unit: Label of the colour scale.
        caption: What the figure shows.
    """
    image = load_img(path)
    limit = limit_of(image.dataobj)
    figure = Figure(figsize=(WIDTH, 2.2))
    plot_glass_brain(
        image,
        figure=figure,
        axes=(0, 0.26, 1, 0.74),
        threshold=None,
        colorbar=False,
        cmap=FADING,
        vmin=-limit,
        vmax=limit,
        plot_abs=False,
        resampling_interpolation="nearest",
    )
    for outline in figure.findobj(PathPatch):
        outline.set(edgecolor=MUTED, linewidth=outline.get_linewidth() / 2)
    for text in figure.findobj(Text):
        text.set(color=INK, bbox=None, size=8.5)
    colour_bar(figure, limit, unit, FADING, bottom=0.2)
    alt = f"The brain from the side, from behind and from above, coloured by {unit}"
    return picture(figure, alt=f"{alt}, from −{limit:.2g} to {limit:.2g}.", caption=caption, wide=True)
