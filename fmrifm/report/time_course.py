"""One hidden region's time course: what was measured, and what was predicted from the rest of the brain."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from fmrifm.errors import DataError
from fmrifm.report.content import Picture, counted, number
from fmrifm.report.svg import FIRST, MUTED, SECOND, STYLE, WIDTH, picture

_NAMES = ("region", "true", "predicted", "tr_s", "correlation", "r2")


@matplotlib.rc_context(STYLE)
def time_course(path: Path) -> Picture:
    """Draw the time course that pretraining left.

    Args:
        path: An npz with region, true and predicted (t,), tr_s, correlation and r2.

    Raises:
        DataError: An array is missing, or the two courses differ in length.
    """
    with np.load(path) as arrays:
        if absent := set(_NAMES) - set(arrays):
            raise DataError(f"{path}: arrays {sorted(arrays)}; expected also {sorted(absent)}. Run pretrain again.")
        region, true, predicted, tr_s, correlation, r2 = (arrays[name] for name in _NAMES)
    if true.shape != predicted.shape:
        raise DataError(f"{path}: true {true.shape} and predicted {predicted.shape} differ. Run pretrain again.")
    seconds = np.arange(len(true)) * float(tr_s)
    figure = Figure(figsize=(WIDTH, 2.5), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(0, color=MUTED, lw=0.6)
    axes.plot(seconds, true, color=FIRST, label="measured")
    axes.plot(seconds, predicted, color=SECOND, ls=(0, (4, 2)), label="predicted")
    axes.set(xlabel="time (s)", ylabel="BOLD, region mean\n(standard deviations)", xlim=(0, seconds[-1]))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderpad=0.2)
    fit = f"r = {number(float(correlation))}, R² = {number(float(r2))}"
    return picture(
        figure,
        alt=f"Line chart over {number(seconds[-1], 0)} s: measured and predicted time course of {region}, {fit}.",
        caption=f"{region} in a held-out scan, hidden whole and predicted from the other regions: {fit} over "
        f"{counted(len(true), 'volume')}. Chosen because it is predicted best; others fit worse.",
    )
