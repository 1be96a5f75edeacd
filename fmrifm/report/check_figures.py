"""Charts of the checks on a ranking: curves of silencing, agreement of methods, stability over folds."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fmrifm.report.content import MISSING, Picture, number
from fmrifm.report.figures import short
from fmrifm.report.heatmaps import cell_text, heatmap
from fmrifm.report.methods import method_of, sorted_methods
from fmrifm.report.svg import FIRST, INK, MUTED, PAPER, SECOND, STYLE, WIDTH, picture

_RANDOM = "random"
_LINES = ((FIRST, "-", "o"), (SECOND, (0, (4, 3)), "s"), (INK, (0, (1, 1)), "^"), (FIRST, (0, (6, 2, 1, 2)), "D"))
"""Colour, dash and marker of one method each."""
_SILENCED = {
    "deletion": ("voxels silenced, most important first (%)", "falls", "silencing what leads the ranking"),
    "insertion": ("voxels kept, most important first (%)", "rises", "keeping what leads the ranking alone"),
}


@matplotlib.rc_context(STYLE)
def silencing(curves: pd.DataFrame, kind: str) -> Picture:
    """Draw the classifier's AUC as voxels are silenced or kept, by every ranking and in random order.

    Args:
        curves: Rows of curves.tsv of one kind.
        kind: deletion or insertion.
    """
    xlabel, moves, how = _SILENCED[kind]
    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    axes = figure.add_subplot()
    chance = curves["order"] == _RANDOM
    lines = {method: curves[~chance & (curves["method"] == method)] for method in sorted_methods(curves["method"])}
    told = []
    for (method, rows), (colour, dash, marker) in zip(_drawn(lines), _LINES * len(lines), strict=False):
        axes.plot(100 * rows["share"], rows["value"], color=colour, ls=dash, marker=marker, ms=4, mfc=PAPER)
        axes.lines[-1].set_label(*short([method_of(method).name]))
        told.append(f"{method_of(method).name} {_told(rows['value'])}")
    if chance.any():
        mean = curves[chance].groupby("share")["value"].mean()
        axes.plot(100 * mean.index, mean, color=MUTED, lw=1.2, ls=":", label="random order")
        told.append(f"random order {_told(mean)}")
    axes.axhline(0.5, color=MUTED, lw=0.6)
    axes.set(xlabel=xlabel, ylabel="AUC of the classifier", ylim=(min(0, curves["value"].min()), 1.03))
    axes.grid(axis="y", lw=0.5)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2, handlelength=2.6)
    caption = (
        f"{kind.capitalize()}: AUC of the classifiers on subjects they never saw, {how}. A ranking that "
        f"names what they use {moves} sooner than the random order. Thin: chance, 0.5."
    )
    return picture(figure, alt=f"Line chart of AUC over {xlabel}: {'; '.join(told)}.", caption=caption)


@matplotlib.rc_context(STYLE)
def agreements(checks: pd.DataFrame) -> list[Picture]:
    """Draw the rank correlation of every two methods, if any were compared."""
    pairs = checks[checks["check"] == "agreement"]
    if pairs.empty:
        return []
    methods = sorted_methods([*pairs["method"], *pairs["other"]])
    table = pd.DataFrame(np.eye(len(methods)), index=methods, columns=methods)
    for row in pairs.to_dict("records"):
        table.loc[row["method"], row["other"]] = table.loc[row["other"], row["method"]] = row["value"]
    values = table.to_numpy()
    names = [method_of(method).name for method in methods]
    texts = [[cell_text(value, 2) for value in row] for row in values]
    figure, _ = heatmap(values, texts, names, names, row_height=0.24, text_size=6.5)
    told = "; ".join(
        f"{method_of(row['method']).name} and {method_of(row['other']).name} {number(row['value'])}"
        for row in pairs.to_dict("records")
    )
    caption = (
        "Agreement of the methods: rank correlation over regions (no unit), 1 = the same ranking. Methods of the "
        "classification and of the reconstruction ask different questions and need not agree."
    )
    return [picture(figure, alt=f"Matrix of rank correlations: {told}.", caption=caption)]


@matplotlib.rc_context(STYLE)
def stability(pairs: Mapping[str, pd.DataFrame], over: str, detail: str = "") -> Picture:
    """Draw how far the rankings of every two folds, or runs, agree, with what chance would give.

    Args:
        pairs: Rows of stability.tsv by name of the method.
        over: What a pair is made of, in the plural.
        detail: What else the caption says of them.
    """
    figure = Figure(figsize=(WIDTH, 0.95 + 0.24 * max(len(pairs), 2)), layout="constrained")
    shared, correlated = figure.subplots(1, 2, sharey=True)
    told: list[str] = []
    for place, (name, rows) in enumerate(list(pairs.items())[::-1]):
        for axes, column in ((shared, "overlap"), (correlated, "spearman")):
            values = rows[column].dropna()
            axes.plot(values, np.full(len(values), place), "o", color=FIRST, ms=4, mfc="none", mew=0.9)
            axes.plot(values.mean(), place, "|", color=INK, ms=12, mew=2)
        told.insert(0, f"{name} {number(rows['overlap'].mean())} and {number(rows['spearman'].mean())}")
    every = pd.concat(pairs.values())
    k, chance = int(every["k"].max()), float(every["chance"].mean())
    for axes, line in ((shared, chance), (correlated, 0.0)):
        axes.axvline(line, color=MUTED, lw=1.2, ls=":")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", lw=0.5)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    shared.set(xlabel=f"share of the {k} leading\nregions in both {over}", xlim=(-0.05, 1.05))
    correlated.set(xlabel="rank correlation\nover regions")
    shared.set_yticks(range(len(pairs)), short(pairs)[::-1])
    shared.set_ylim(-0.6, len(pairs) - 0.4)
    caption = (
        f"Stability over {over}: each circle is a pair of {over}{detail}; bars: means. "
        f"Dotted: chance, {number(chance)} of the {k} leading regions shared and no correlation."
    )
    alt = f"Dot plots of shared leading regions and rank correlation between {over}, means: {'; '.join(told)}."
    return picture(figure, alt=alt, caption=caption)


def _drawn(lines: Mapping[str, pd.DataFrame]) -> list[tuple[str, pd.DataFrame]]:
    return [(method, rows.sort_values("share")) for method, rows in lines.items() if not rows.empty]


def _told(values: "pd.Series[float]") -> str:
    known = values.dropna()
    return MISSING if known.empty else f"from {number(known.iloc[0])} to {number(known.iloc[-1])}"
