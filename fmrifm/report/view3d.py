"""A map of the brain to move around in: nilearn's viewer of slices, in a document that loads nothing.

nilearn's own page brings a large library that the viewer does not need and an icon from the
network, and answers the mouse alone. So only its viewer, images and settings are taken, and
sliders are put beside them.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from nilearn.datasets import load_mni152_template
from nilearn.image import load_img
from nilearn.plotting import view_img

from fmrifm.report.content import View, significant
from fmrifm.report.document import ENVIRONMENT
from fmrifm.report.scales import FADING, limit_of

_COARSE_MM = 3
"""Voxel size of the grey brain; 2 mm would treble the page."""
_SLIDERS = {"x, left to right": "X", "y, back to front": "Y", "z, bottom to top": "Z", "opacity": "opacity"}
_CROSS = "rgba(255, 255, 255, 0.5)"


def interactive_map(path: Path, unit: str, caption: str) -> View:
    """Show a map in three slices that follow pointer and sliders.

    Args:
        path: NIfTI image in MNI space, shape (X, Y, Z).
        unit: What the colours mean, with its unit.
        caption: What the view shows.
    """
    image = load_img(path)
    strength = np.abs(np.nan_to_num(image.get_fdata()))
    limit = limit_of(strength)
    peaks = np.argwhere(strength == strength.max())  # a whole region has one value: start in its middle
    start = peaks[np.square(peaks - peaks.mean(axis=0)).sum(axis=1).argmin()]
    shown = view_img(
        image,
        bg_img=load_mni152_template(resolution=_COARSE_MM),
        cut_coords=tuple((image.affine @ [*start, 1])[:3]),
        annotate=False,
        resampling_interpolation="nearest",
        threshold=None,
        black_bg=True,
        cmap=FADING,
        vmax=limit,
    )
    ends = f"from {significant(-limit, 2)} to {significant(limit, 2)}"
    alt = f"Slices of the brain to move through, coloured by {unit}, {ends}."
    return View(html=_document(shown.html, unit, limit, alt), caption=caption, alt=alt)


def _document(html: str, unit: str, limit: float, alt: str) -> str:
    """Put the viewer, images and settings of nilearn's page into our document."""
    settings: dict[str, Any] = json.loads(_found(r"= brainsprite\((.*?)\);", html))
    del settings["colorMap"]  # shown beside the slices, not on them
    settings.update(canvas="slices", sprite="sprite", colorCrosshair=_CROSS)
    settings["overlay"]["sprite"] = "overlay"
    viewer = next(text for text in re.findall(r"<script>(.*?)</script>", html, re.DOTALL) if "brainsprite(e)" in text)
    return ENVIRONMENT.get_template("view.html.j2").render(
        alt=alt,
        unit=unit,
        ends=[significant(-limit, 2), significant(limit, 2)],
        colours=_image("colorMap", html),
        images={"sprite": _image("spriteImg", html), "overlay": _image("overlayImg", html)},
        sliders=_SLIDERS,
        settings=settings,
        script=Markup(viewer + ENVIRONMENT.get_template("view.js").render()),  # noqa: S704
    )


def _image(theirs: str, html: str) -> str:
    return _found(rf'id="{theirs}-[^>]*?src="([^"]*)"', html)


def _found(pattern: str, html: str) -> str:
    found = re.search(pattern, html, re.DOTALL)
    if found is None:
        raise RuntimeError(f"nilearn's page of view_img has no {pattern!r}; this report knows the one of nilearn 0.14.")
    return found[1]
