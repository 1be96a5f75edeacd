"""Charts of the quality page: coverage, distributions by site, and carpets.

Axes: T volumes, V brain voxels.
"""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fmrifm.data.quality import dvars, spikes
from fmrifm.report.content import Picture, counted, number
from fmrifm.report.figures import short
from fmrifm.report.outliers import FEWEST, Measure
from fmrifm.report.svg import FIRST, INK, MUTED, PAPER, SECOND, STYLE, WIDTH, picture

_CARPET_ROWS = 400
_CARPET_LIMIT = 2.5
"""Deviations at which a carpet is black or white."""
_LEAST_SHARE = 0.03
"""Share of the carpet below which a system has no room for its name."""
_GREYS = 32
_DARK = 0.4
"""Share covered below which a cell is so dark that its number is white."""


@matplotlib.rc_context(STYLE)
def coverage_map(coverage: pd.DataFrame) -> Picture:
    """Draw the mean share of covered voxels, sites in rows and systems in columns, 0 to 1."""
    figure = Figure(figsize=(1.35 * WIDTH, 1.1 + 0.27 * len(coverage)), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(coverage, cmap="OrRd_r", vmin=0, vmax=1, aspect="auto", interpolation="none")
    for (row, column), share in np.ndenumerate(coverage.to_numpy()):
        colour = "white" if share < _DARK else "black"
        axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(coverage.shape[1]), short(coverage.columns), rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(coverage)), short(coverage.index))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    lowest = "; ".join(f"{site} {100 * row.min():.0f} % ({row.idxmin()})" for site, row in coverage.iterrows())
    return picture(
        figure,
        alt=f"Heat map of the share of voxels covered by site and system. Lowest of each site: {lowest}.",
        caption="Share of each system's voxels that the scans of a site cover, mean over scans, in percent.",
        wide=True,
    )


@matplotlib.rc_context(STYLE)
def by_site(values: pd.Series, sites: pd.Series, measure: Measure) -> Picture:
    """Draw how a measure is distributed at each site: boxes with Tukey's fences, or the scans where they are few."""
    groups = {str(site): of_site.dropna().to_numpy() for site, of_site in values.groupby(sites)}
    names = [site for site, of_site in groups.items() if len(of_site)][::-1]
    figure = Figure(figsize=(WIDTH, 0.6 + 0.26 * max(len(names), 2)), layout="constrained")
    axes = figure.add_subplot()
    boxes = [row for row, site in enumerate(names) if len(groups[site]) >= FEWEST]
    axes.boxplot(
        [groups[names[row]] for row in boxes],
        positions=boxes,
        orientation="horizontal",
        widths=0.55,
        manage_ticks=False,
        boxprops={"color": FIRST},
        whiskerprops={"color": FIRST},
        capprops={"color": FIRST},
        medianprops={"color": INK},
        flierprops={"marker": "D", "ms": 3.5, "mec": SECOND, "mfc": PAPER},
    )
    for row in set(range(len(names))) - set(boxes):
        axes.plot(groups[names[row]], np.full(len(groups[names[row]]), row), "o", color=MUTED, ms=3.5)
    axes.set_yticks(range(len(names)), short(names))
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel(measure.label(), loc="right")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=measure.decimals == 0))
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", lw=0.5)
    axes.set_axisbelow(True)
    medians = "; ".join(f"{site} {number(float(np.median(groups[site])), measure.decimals)}" for site in names[::-1])
    known = int(values.notna().sum())
    caption = f"{measure.name[0].upper()}{measure.name[1:]}, {counted(known, 'scan')}."
    return picture(figure, alt=f"Box plots of {measure.label()} by site; medians: {medians}.", caption=caption)


@matplotlib.rc_context(STYLE)
def carpet(signal_TV: NDArray[np.float32], systems_V: NDArray[np.str_], name: str, reasons: str) -> Picture:
    """Draw a scan as one image, a row a voxel and a column a volume, under its change from volume to volume.

    Args:
        signal_TV: z-scored time courses of the voxels that the scan covers, sorted by system.
        systems_V: System of each voxel.
        name: The scan.
        reasons: What stands out, for the caption.
    """
    change = dvars(signal_TV, signal_TV.shape[1])
    peaks = np.flatnonzero(spikes(change))
    figure = Figure(figsize=(1.35 * WIDTH, 3.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 4))
    above.plot(np.arange(1, len(signal_TV)), change, color=FIRST, lw=1)
    above.plot(peaks + 1, change[peaks], "D", color=SECOND, mfc=PAPER, ms=3.5)
    above.set_ylabel("DVARS")
    rows = np.linspace(0, signal_TV.shape[1] - 1, min(_CARPET_ROWS, signal_TV.shape[1])).astype(int)
    grey = matplotlib.colormaps["gray"].resampled(_GREYS)  # few greys, so that the page stays small
    limits = {"vmin": -_CARPET_LIMIT, "vmax": _CARPET_LIMIT}
    below.imshow(signal_TV[:, rows].T, cmap=grey, aspect="auto", interpolation="none", **limits)
    _name_systems(below, systems_V[rows])
    below.set_xlabel("volume")
    return picture(
        figure,
        alt=f"Carpet plot of scan {name}: {len(rows)} voxels by {len(signal_TV)} volumes, {len(peaks)} spikes.",
        caption=(
            f"Scan {name}. Stands out by {reasons}. Below, the stored signal of evenly spaced voxels, black −2.5 and "
            "white 2.5 deviations; above, the root mean square change from the volume before, spikes marked."
        ),
        wide=True,
    )


def _name_systems(axes: matplotlib.axes.Axes, systems: NDArray[np.str_]) -> None:
    starts = np.flatnonzero(np.append(True, systems[1:] != systems[:-1]))
    ends = np.append(starts[1:], len(systems))
    for start in starts[1:]:
        axes.axhline(start - 0.5, color=SECOND, lw=0.6)
    roomy = ends - starts >= _LEAST_SHARE * len(systems)
    axes.set_yticks(((starts + ends - 1) / 2)[roomy], short(systems[starts][roomy].tolist()))
    axes.tick_params(axis="y", length=0)
