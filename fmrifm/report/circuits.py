"""Section on circuit models of the cerebellum: how they learnt, and where they ended.

The stage draws its pictures with the same functions.
"""

from itertools import product

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from fmrifm.report.content import Picture, Section, Table, significant
from fmrifm.report.runs import Run
from fmrifm.report.svg import FIRST, INK, MUTED, SECOND, STYLE, WIDTH, picture

_CURVES = ("variant", "seed", "epoch")
_TRIALS = ("loop", "rule", "trial", "rmse")
_LOOPS = ("loop", "rule", "rmse_floor")
_LINES = [(colour, dash) for dash, colour in product(("-", "--", ":"), (FIRST, SECOND, INK, MUTED))]
_TASKS = {
    "linedraw": [
        "Lines are drawn from a cue under short credit, with and without a cerebellum that predicts feedback."
    ],
    "order": ["Which of two patterns came first is told at a scan's end, by every way to give credit over time."],
    "digits": ["Handwritten digits are told apart row by row, by every way to give credit over time."],
    "control": [
        "Disturbances are anticipated on motor plants and in simulated neurofeedback, by three learning rules."
    ],
}
_RULES = {"forward-model trace": (FIRST, "-"), "pure delay": (SECOND, "--"), "no trace": (INK, ":")}


def circuit_section(run: Run, title: str) -> Section:
    """Show what one run of `fmrifm cerebellum` left."""
    task = str(run.settings.get("task", ""))
    summary, curves, trials = (
        run.table("summary.tsv"),
        run.table("curves.tsv", _CURVES),
        run.table("trials.tsv", _TRIALS),
    )
    tables = [] if summary is None else [_table(summary)]
    pictures = [] if curves is None else [_learnt(curves)]
    if trials is not None and summary is not None:
        pictures.append(_anticipated(trials, summary))
    return Section(title=title, sentences=_TASKS.get(task, []), tables=tables, pictures=pictures)


@matplotlib.rc_context(STYLE)
def learning_curves(table: pd.DataFrame) -> Figure:
    """Draw what each variant does after each pass: the median over seeds, and all seeds faintly.

    Args:
        table: variant, seed, epoch, and the measure: `error`, on a logarithmic axis, or `accuracy`.
    """
    measure = table.columns[-1]
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for (variant, rows), (colour, dash) in zip(table.groupby("variant", sort=False), _LINES, strict=False):
        runs = rows.pivot_table(index="epoch", columns="seed", values=measure)
        axes.plot(runs.index, runs.median(axis=1), color=colour, ls=dash, lw=1.8, label=variant)
        axes.plot(runs.index, runs, color=colour, ls=dash, lw=0.5, alpha=0.3)
    axes.set(xlabel="pass over the examples", ylabel=f"{measure} (bold: median over seeds)")
    if measure == "error":
        _logarithmic(axes)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@matplotlib.rc_context(STYLE)
def trial_curves(trials: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Draw the error of every trial by rule, a panel a loop, with what least squares leaves."""
    floor = summary.groupby("loop")["rmse_floor"].first()
    figure = Figure(figsize=(WIDTH, 5.4), layout="constrained")
    panels = figure.subplots(3, 2).ravel()
    for axes, (loop, rows) in zip(panels, trials.groupby("loop", sort=False), strict=False):
        for rule, of_rule in rows.groupby("rule", sort=False):
            colour, dash = _RULES[str(rule)]
            axes.plot(of_rule["trial"], of_rule["rmse"], color=colour, ls=dash, lw=1.6, label=rule)
        axes.axhline(floor[loop], color=MUTED, lw=1, label="least squares")
        axes.set_title(str(loop))
        _logarithmic(axes)
    figure.supxlabel("trial", fontsize="medium")
    figure.supylabel("error (root mean square)", fontsize="medium")
    panels[-1].axis("off")
    panels[-1].legend(*panels[0].get_legend_handles_labels(), loc="center", title="each at its best step")
    return figure


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _learnt(curves: pd.DataFrame) -> Picture:
    measure = curves.columns[-1]
    last = curves[curves["epoch"] == curves["epoch"].max()].groupby("variant", sort=False)[measure].median()
    values = "; ".join(f"{variant}: {significant(value)}" for variant, value in last.items())
    return picture(
        learning_curves(curves),
        alt=f"Lines: {measure} of each variant by pass. Medians after the last pass: {values}.",
        caption=f"Learning: {measure} after each pass; bold the median over seeds.",
        wide=True,
    )


def _anticipated(trials: pd.DataFrame, summary: pd.DataFrame) -> Picture:
    values = "; ".join(
        f"{loop}, {rule}: {significant(value)}"
        for loop, rule, value in summary[["loop", "rule", "rmse"]].itertuples(index=False)
    )
    return picture(
        trial_curves(trials, summary),
        alt=f"Lines: error of every trial by rule, a panel a loop. Errors of the last trials: {values}.",
        caption="Anticipation: root mean square error of every trial, each rule at its best step.",
        wide=True,
    )


def _table(summary: pd.DataFrame) -> Table:
    numbers = summary.select_dtypes(np.number).columns
    rows = [
        [significant(value) if name in numbers else str(value) for name, value in row.items()]
        for row in summary.to_dict("records")
    ]
    return Table(caption="Where they ended.", columns=[str(name).replace("_", " ") for name in summary], rows=rows)
