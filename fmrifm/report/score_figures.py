"""Charts of classifiers and of the trial of masking: scores and differences with intervals, ROC, calibration.

Colours are never the only sign: what differs in colour also differs in marker, dash or label.
"""

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

from fmrifm.report.content import Picture, counted, number
from fmrifm.report.figures import rows_figure, short, whisker
from fmrifm.report.names import model_name
from fmrifm.report.scores import Difference, Score, label, signed
from fmrifm.report.svg import FIRST, INK, MUTED, PAPER, SECOND, STYLE, WIDTH, picture

_NAME_WIDTH = 19
"""Letters a line; longer names of models take two."""
_AXIS_WIDTH = 30
_ROW = 0.27
"""Height in inches of a row whose name may take two lines."""
_STYLES = ((FIRST, "o", "-"), (SECOND, "s", (0, (4, 3))))


@matplotlib.rc_context(STYLE)
def forest(metric: str, scores: Mapping[str, Score], chance: float | None) -> Picture:
    """Draw one metric of the classifier (first) and of the baselines, with intervals.

    Args:
        metric: Name of the metric.
        scores: By model, in the order to draw.
        chance: Where to draw a line; none draws none.
    """
    figure, axes = rows_figure(len(scores), extra=0.65, height=_ROW)
    for row, score in enumerate(list(scores.values())[::-1]):
        ours = row == len(scores) - 1
        whisker(axes, row, score, colour=FIRST if ours else MUTED, marker="o" if ours else "s", filled=ours)
        axes.text(1.03, row, number(score.value), va="center", transform=axes.get_yaxis_transform())
    _name_rows(axes, list(scores))
    axes.set(xlim=(0, 1), xlabel=label(metric))
    if chance is not None:
        axes.axvline(chance, color=MUTED, lw=1, ls=":")
    values = "; ".join(f"{model_name(name)} {score}" for name, score in scores.items())
    dotted = f" Dotted: chance, {number(chance)}." if chance is not None else ""
    caption = f"{label(metric)} with 95 % intervals.{dotted}"
    return picture(figure, alt=f"Dot plot of {label(metric)} with 95 % intervals: {values}.", caption=caption)


@matplotlib.rc_context(STYLE)
def paired(metric: str, differences: Mapping[str, Difference], reference: str) -> Picture:
    """Draw what models score above a reference, with intervals; filled where the interval leaves out 0."""
    figure, axes = rows_figure(len(differences), extra=0.8, height=_ROW)
    for row, difference in enumerate(list(differences.values())[::-1]):
        shown = difference.ci_low > 0 or difference.ci_high < 0
        whisker(axes, row, difference, colour=FIRST, marker="o", filled=shown)
        axes.text(1.03, row, signed(difference.value), va="center", transform=axes.get_yaxis_transform())
    _name_rows(axes, list(differences))
    ends = [end for each in differences.values() for end in (each.value, each.ci_low, each.ci_high)]
    reach = 1.1 * float(np.nanmax(np.abs([*ends, 0.005])))
    axes.set(xlim=(-reach, reach), xlabel=textwrap.fill(f"difference in {label(metric)}", _AXIS_WIDTH))
    axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=True))
    axes.axvline(0, color=INK, lw=1)
    values = "; ".join(f"{model_name(name)} {difference}" for name, difference in differences.items())
    caption = f"{label(metric)}: difference from {model_name(reference)}, 95 % intervals. Filled: 0 is left out."
    return picture(figure, alt=f"Dot plot of differences in {label(metric)}: {values}.", caption=caption)


@matplotlib.rc_context(STYLE)
def side_by_side(scores: Mapping[str, Mapping[str, Score]], panels: Sequence[Sequence[str]]) -> Picture:
    """Draw several metrics of the same models in panels that share their rows.

    Args:
        scores: By model and metric, in the order to draw.
        panels: Metrics of each panel, two at most; they share a scale.
    """
    figure = Figure(figsize=(WIDTH, 0.95 + 0.34 * max(len(scores), 2)), layout="constrained")
    columns = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for axes, metrics in zip(columns, panels, strict=True):
        for place, (metric, (colour, marker, _)) in enumerate(zip(metrics, _STYLES, strict=False)):
            shift = 0.13 * (len(metrics) - 1) * (1 - 2 * place)
            for row, found in enumerate(list(scores.values())[::-1]):
                if metric in found:
                    whisker(axes, row + shift, found[metric], colour=colour, marker=marker, filled=not place)
            axes.plot([], [], marker, color=colour, mfc=PAPER if place else colour, label=_legend(metric))
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="x", lw=0.5)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.05, 1), borderpad=0.2, handletextpad=0.2)
    _name_rows(columns[0], list(scores))
    values = "; ".join(
        f"{model_name(name)}: "
        + ", ".join(f"{label(metric)} {found[metric]}" for metrics in panels for metric in metrics if metric in found)
        for name, found in scores.items()
    )
    names = "; ".join(" and ".join(label(metric) for metric in metrics) for metrics in panels)
    return picture(
        figure,
        alt=f"Dot plots with 95 % intervals, side by side: {values}.",
        caption=f"Reconstruction beside classification, with 95 % intervals. {names}.",
        wide=True,
    )


@matplotlib.rc_context(STYLE)
def by_run(metric: str, scores: Mapping[str, Score], chance: float) -> Picture:
    """Draw one metric of several runs with intervals, and a line at chance or at the trivial predictor."""
    figure, axes = rows_figure(len(scores), extra=0.65, height=_ROW)
    for row, score in enumerate(list(scores.values())[::-1]):
        whisker(axes, row, score, colour=FIRST, marker="o", filled=True)
        axes.text(1.03, row, number(score.value), va="center", transform=axes.get_yaxis_transform())
    axes.set_yticks(range(len(scores)), short(scores)[::-1])
    axes.set(ylim=(-0.6, len(scores) - 0.4), xlabel=label(metric))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="x", lw=0.5)
    axes.axvline(chance, color=MUTED, lw=1, ls=":")
    values = "; ".join(f"{name} {score}" for name, score in scores.items())
    caption = f"{label(metric)} of every run with 95 % intervals. Dotted: {number(chance)}, without any skill."
    return picture(figure, alt=f"Dot plot of {label(metric)} by run with 95 % intervals: {values}.", caption=caption)


@matplotlib.rc_context(STYLE)
def roc(labels: Sequence[int], ranks: Sequence[float], auc: Score | None, subjects: int) -> Picture:
    """Draw the ROC curve of held-out predictions.

    Args:
        labels: 0 or 1 for every prediction of a subject.
        ranks: Of the predicted probability within the subject's fold.
        auc: The score to write beside it, if known.
        subjects: How many subjects were predicted.
    """
    false_positive, true_positive, _ = roc_curve(labels, ranks)
    figure, axes = _square("false-positive rate (1 − specificity)", "true-positive rate (sensitivity)")
    axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=":", label="chance")
    axes.plot(false_positive, true_positive, color=FIRST, label="classifier")
    axes.legend(loc="lower right")
    area = f" AUC {auc}." if auc else ""
    repeats = "" if len(labels) == subjects else f" in {counted(len(labels), 'prediction')}"
    return picture(
        figure,
        alt=f"ROC curve of {counted(subjects, 'held-out subject')}.{area}",
        caption=f"ROC curve of {counted(subjects, 'held-out subject')}{repeats}, each ranked within its fold.{area}",
    )


@matplotlib.rc_context(STYLE)
def calibration(bins: Mapping[str, pd.DataFrame]) -> Picture:
    """Draw how often what was predicted came true.

    Args:
        bins: For one or two models, by name: rows of calibration.tsv (predicted, observed, ci_low, ci_high, n).
    """
    figure, axes = _square("predicted probability of being a case", "observed share of cases")
    axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=":", label="perfect")
    for (name, rows), (colour, marker, dash) in zip(bins.items(), _STYLES, strict=False):
        errors = np.stack([rows["observed"] - rows["ci_low"], rows["ci_high"] - rows["observed"]]).clip(min=0)
        axes.errorbar(rows["predicted"], rows["observed"], yerr=errors, fmt="none", ecolor=colour, lw=1, alpha=0.6)
        line = axes.plot(rows["predicted"], rows["observed"], color=colour, ls=dash, marker=marker, ms=4.5)
        line[0].set(mfc=colour if marker == "o" else PAPER, label=model_name(name))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=1)
    values = "; ".join(
        f"{model_name(name)}: "
        + ", ".join(
            f"{number(row['predicted'])} came true {number(row['observed'])}" for row in rows.to_dict("records")
        )
        for name, rows in bins.items()
    )
    return picture(
        figure,
        alt=f"Calibration curves: {values}.",
        caption="Calibration on held-out subjects, with 95 % intervals. On the dotted line, of those given a "
        "probability of 0.3, 30 % are cases.",
    )


def _square(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
    axes = figure.add_subplot(aspect="equal")
    axes.set(xlabel=xlabel, ylabel=ylabel, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    return figure, axes


def _name_rows(axes: Axes, models: Sequence[str]) -> None:
    """Write the names of models beside rows, the first on top."""
    names = [textwrap.fill(model_name(model), _NAME_WIDTH, max_lines=2, placeholder="…") for model in models]
    axes.set_yticks(range(len(names)), names[::-1], linespacing=0.95)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.grid(axis="x", lw=0.5)


def _legend(metric: str) -> str:
    return label(metric).replace(" under ", "\nunder ")
