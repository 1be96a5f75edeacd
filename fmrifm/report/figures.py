"""Charts of the report: cohort, training, scores, regions and systems.

Colours are never the only sign: what differs in colour also differs in marker, dash or label.
"""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

from fmrifm.report.content import Picture, number, significant
from fmrifm.report.scores import CHANCE, Score, label
from fmrifm.report.svg import FIRST, INK, LINE, MUTED, PAPER, SECOND, STYLE, WIDTH, picture

_LONGEST_NAME = 26
_DASHED = (0, (4, 3))


@matplotlib.rc_context(STYLE)
def label_bars(counts: Mapping[str, Mapping[str, int]], what: str) -> Picture:
    """Draw how many subjects of each label every site has.

    Args:
        counts: Subjects by site and label.
        what: What the labels stand for, for the caption.
    """
    table = pd.DataFrame(counts).T[::-1]
    figure, axes = _rows(len(table), extra=0.75)
    left = np.zeros(len(table))
    for name, colour, hatch in zip(table.columns, (FIRST, SECOND, LINE), ("", "////", ""), strict=False):
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
def forest(metric: str, scores: Mapping[str, Score]) -> Picture:
    """Draw one metric of the classifier (first) and of the baselines, with intervals."""
    figure, axes = _rows(len(scores), extra=0.65)
    for row, score in enumerate(list(scores.values())[::-1]):
        ours = row == len(scores) - 1
        _whisker(axes, row, score, colour=FIRST if ours else MUTED, marker="o" if ours else "s", filled=ours)
        axes.text(1.03, row, number(score.value), va="center", transform=axes.get_yaxis_transform())
    axes.set_yticks(range(len(scores)), short(scores)[::-1])
    axes.set(xlim=(0, 1), ylim=(-0.6, len(scores) - 0.4), xlabel=label(metric))
    if metric in CHANCE:
        axes.axvline(CHANCE[metric], color=MUTED, lw=1, ls=":")
    axes.grid(axis="x", lw=0.5)
    values = "; ".join(f"{name} {score}" for name, score in scores.items())
    chance = " Dotted: chance." if metric in CHANCE else ""
    caption = f"{label(metric)} with 95 % intervals.{chance}"
    return picture(figure, alt=f"Dot plot of {label(metric)} with 95 % intervals: {values}.", caption=caption)


@matplotlib.rc_context(STYLE)
def roc(labels: Sequence[int], ranks: Sequence[float], auc: Score | None) -> Picture:
    """Draw the ROC curve of held-out predictions.

    Args:
        labels: 0 or 1 for every subject.
        ranks: Of the predicted probability within the subject's fold.
        auc: The score to write beside it, if known.
    """
    false_positive, true_positive, _ = roc_curve(labels, ranks)
    figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
    axes = figure.add_subplot(aspect="equal")
    axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=":", label="chance")
    axes.plot(false_positive, true_positive, color=FIRST, label="classifier")
    axes.set(xlabel="false-positive rate (1 − specificity)", ylabel="true-positive rate (sensitivity)")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.legend(loc="lower right")
    area = f" AUC {auc}." if auc else ""
    return picture(
        figure,
        alt=f"ROC curve of {len(labels)} held-out subjects.{area}",
        caption=f"ROC curve of {len(labels)} held-out subjects, each ranked within its fold.{area}",
        wide=True,
    )


@matplotlib.rc_context(STYLE)
def ranking(regions: pd.DataFrame, unit: str, planted: Sequence[int], caption: str) -> Picture:
    """Draw the importance of regions, best first, with intervals.

    Args:
        regions: Rows of regions.tsv in the order to draw.
        unit: Axis label.
        planted: Atlas values of regions with a planted difference.
        caption: What the figure shows.
    """
    figure, axes = _rows(len(regions), extra=0.55)
    for row, region in enumerate(regions[::-1].to_dict("records")):
        is_planted = region["index"] in planted
        score = Score(region["importance"], region["ci_low"], region["ci_high"])
        colour, marker = (SECOND, "D") if is_planted else (FIRST, "o")
        _whisker(axes, row, score, colour=colour, marker=marker, filled=region["p_fdr"] < 0.05)
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
    figure, axes = _rows(len(rows), extra=0.55)
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


def _rows(count: int, extra: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, extra + 0.2 * max(count, 2)), layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(axis="y", length=0)
    return figure, axes


def _legend_above(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderpad=0.2, handlelength=1.6, columnspacing=1.2)


def _whisker(axes: Axes, row: int, score: Score, *, colour: str, marker: str, filled: bool) -> None:
    axes.plot([score.ci_low, score.ci_high], [row, row], color=colour, lw=1.4, zorder=2)
    axes.plot(score.value, row, marker, color=colour, mfc=colour if filled else PAPER, ms=5, mew=1.2, zorder=3)
