"""Charts of the report: cohort, training, regions and systems.

Colours are never the only sign: what differs in colour also differs in marker, dash or label.
"""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fmrifm.report.content import Picture, significant
from fmrifm.report.scores import Difference, Score
from fmrifm.report.svg import FIRST, INK, LINE, MUTED, PAPER, SECOND, STYLE, WIDTH, picture

_LONGEST_NAME = 26
_FILLS = ((FIRST, SECOND, LINE, FIRST, SECOND, MUTED), ("", "////", "", "xxxx", "....", "----"))
"""Colours and hatches of stacked bars."""
_DASHED = (0, (4, 3))


@matplotlib.rc_context(STYLE)
def label_bars(counts: Mapping[str, Mapping[str, int]], what: str) -> Picture:
    """Draw how many subjects of each label every site has.

    Args:
        counts: Subjects by site and label.
        what: What the labels stand for, for the caption.
    """
    table = pd.DataFrame(counts).T[::-1]
    figure, axes = rows_figure(len(table), extra=0.75)
    left = np.zeros(len(table))
    for name, colour, hatch in zip(table.columns, *_FILLS, strict=False):
        bars = table[name].to_numpy()
        axes.barh(short(table.index), bars, left=left, color=colour, hatch=hatch, edgecolor=PAPER, lw=0.6, label=name)
        left += bars
    axes.set_xlabel("subjects")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend_above(axes)
    alt = "; ".join(f"{site}: " + ", ".join(f"{n} {name}" for name, n in row.items()) for site, row in counts.items())
    return picture(
        figure, alt=f"Bars: subjects by site and label. {alt}.", caption=f"Subjects by site and {what}.", wide=True
    )


@matplotlib.rc_context(STYLE)
def curves(series: Mapping[str, pd.Series], ylabel: str, caption: str, zero: str = "") -> Picture:
    """Draw quantities over training steps.

    Args:
        series: Values over step, by name; one or two.
        ylabel: Axis label with unit.
        caption: What the figure shows.
        zero: Name of a reference line at 0; none draws no line.
    """
    figure = Figure(figsize=(WIDTH, 2.5), layout="constrained")
    axes = figure.add_subplot()
    for (name, values), colour, dash in zip(series.items(), (FIRST, SECOND), ("-", _DASHED), strict=False):
        marker = "o" if len(values) < 30 else ""
        axes.plot(values.index, values, color=colour, ls=dash, marker=marker, ms=3, label=name)
    if zero:
        axes.axhline(0, color=MUTED, lw=1, ls=":", label=zero)
    axes.set(xlabel="training step", ylabel=ylabel)
    axes.grid(axis="y", lw=0.5)
    _legend_above(axes)
    ends = "; ".join(f"{name} from {significant(v.iloc[0])} to {significant(v.iloc[-1])}" for name, v in series.items())
    return picture(figure, alt=f"Line chart of {ylabel} over training steps: {ends}.", caption=caption)


@matplotlib.rc_context(STYLE)
def ranking(regions: pd.DataFrame, unit: str, planted: Sequence[int], caption: str) -> Picture:
    """Draw the importance of regions, best first, with intervals.

    Args:
        regions: Rows of regions.tsv in the order to draw.
        unit: Axis label.
        planted: Atlas values of regions with a planted difference.
        caption: What the figure shows.
    """
    figure, axes = rows_figure(len(regions), extra=0.55)
    for row, region in enumerate(regions[::-1].to_dict("records")):
        is_planted = region["index"] in planted
        score = Score(region["importance"], region["ci_low"], region["ci_high"])
        colour, marker = (SECOND, "D") if is_planted else (FIRST, "o")
        whisker(axes, row, score, colour=colour, marker=marker, filled=region["p_fdr"] < 0.05)
    axes.set_yticks(range(len(regions)), short(regions["name"])[::-1])
    axes.set(ylim=(-0.7, len(regions) - 0.3), xlabel=unit)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.axvline(0, color=MUTED, lw=1, ls=":")
    axes.grid(axis="x", lw=0.5)
    pairs = zip(regions["name"], regions["importance"], strict=True)
    names = ", ".join(f"{name} {significant(importance)}" for name, importance in pairs)
    return picture(figure, alt=f"Dot plot of regions by {unit}, best first: {names}.", caption=caption)


@matplotlib.rc_context(STYLE)
def system_bars(systems: pd.DataFrame, unit: str, caption: str) -> Picture:
    """Draw the importance of systems as bars with intervals, best first."""
    rows = systems[::-1]
    figure, axes = rows_figure(len(rows), extra=0.55)
    axes.barh(range(len(rows)), rows["importance"], color=FIRST, height=0.62)
    errors = np.stack([rows["importance"] - rows["ci_low"], rows["ci_high"] - rows["importance"]]).clip(min=0)
    axes.errorbar(rows["importance"], range(len(rows)), xerr=errors, fmt="none", ecolor=INK, lw=1, capsize=2)
    axes.set_yticks(range(len(rows)), short(rows["system"]))
    axes.set_xlabel(unit)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.axvline(0, color=MUTED, lw=1)
    axes.grid(axis="x", lw=0.5)
    axes.set_axisbelow(True)
    pairs = zip(systems["system"], systems["importance"], strict=True)
    names = ", ".join(f"{name} {significant(value)}" for name, value in pairs)
    return picture(figure, alt=f"Bars of systems by {unit}, best first: {names}.", caption=caption)


def short(names: Sequence[str] | Mapping[str, object] | pd.Series | pd.Index) -> list[str]:
    """Cut long names for an axis."""
    return [name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in map(str, names)]


def rows_figure(count: int, extra: float, height: float = 0.2) -> tuple[Figure, Axes]:
    """Start a figure of so many rows, each of a height, and extra room for axis and legend (inches)."""
    figure = Figure(figsize=(WIDTH, extra + height * max(count, 2)), layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(axis="y", length=0)
    return figure, axes


def _legend_above(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderpad=0.2, handlelength=1.6, columnspacing=1.2)


def whisker(axes: Axes, row: float, score: Score | Difference, *, colour: str, marker: str, filled: bool) -> None:
    """Draw a value as a marker, filled or hollow, on its interval."""
    axes.plot([score.ci_low, score.ci_high], [row, row], color=colour, lw=1.4, zorder=2)
    axes.plot(score.value, row, marker, color=colour, mfc=colour if filled else PAPER, ms=5, mew=1.2, zorder=3)
