"""Prediction's section: what circuits know of the next volumes that simple models do not, and what surprised them."""

import textwrap

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fmrifm.report.content import Picture, Section, Table, listed, number
from fmrifm.report.regions import regions_section
from fmrifm.report.runs import Run
from fmrifm.report.scores import Difference, Score
from fmrifm.report.svg import FIRST, INK, MUTED, SECOND, STYLE, WIDTH, picture

COLUMNS = ("circuit", "reference", "horizon", "skill", "ci_low", "ci_high", "n")
REFERENCES = {
    "persistence": "the last volume",
    "ar": "each region's own past (AR)",
    "var": "all regions' past (ridge VAR)",
}
"""What skill is measured over, as the page says it."""
CIRCUITS = {
    "cerebellum": "cerebellum",
    "recurrent": "recurrent cerebellum",
    "attention": "attention",
    "pretrained": "pretrained model",
}
_STYLES = ((FIRST, "o", "-"), (SECOND, "s", (0, (4, 3))), (INK, "^", ":"), (MUTED, "D", (0, (1, 1))))
_TITLE_WIDTH = 20
_MEANING = (
    "Skill is 1 − error / error of the reference, on region means of subjects that were not learnt from; above 0 the "
    "circuit is better. Scans are scaled by their first volumes alone, so that nothing of the future is known."
)


def prediction_section(run: Run, title: str) -> Section:
    """Show what one predict run found."""
    table = run.table("skill.tsv", COLUMNS)
    if table is None:
        return Section(title=title)
    ours = table[table["circuit"].isin(list(CIRCUITS))]
    surprise = regions_section(run, "What came as a surprise")
    return Section(
        title=title, sentences=[_MEANING], pictures=[skill_by_horizon(ours)], tables=[_table(table)], parts=[surprise]
    )


def prediction_summary(run: Run) -> list[str]:
    """Say of the leading circuit whether it beats each region's own past one volume ahead."""
    table = run.table("skill.tsv", COLUMNS)
    if table is None:
        return []
    ours = table[table["circuit"].isin(list(CIRCUITS)) & (table["horizon"] == 1)]
    sentences = []
    for circuit in list(dict.fromkeys(ours["circuit"]))[:1]:
        score = _score(ours[(ours["circuit"] == circuit) & (ours["reference"] == "ar")])
        stands = Difference(value=score.value, ci_low=score.ci_low, ci_high=score.ci_high).verdict("skill")
        sentences.append(
            f"The {CIRCUITS[circuit]} predicts the next volume of held-out subjects {stands} than each region's own "
            f"past does: skill {score.full()}."
        )
    return sentences


@matplotlib.rc_context(STYLE)
def skill_by_horizon(table: pd.DataFrame) -> Picture:
    """Draw the skill of each circuit over each reference, by volumes ahead, with intervals."""
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    columns = np.atleast_1d(figure.subplots(1, len(REFERENCES), sharey=True))
    circuits = list(dict.fromkeys(table["circuit"]))
    for axes, (reference, meaning) in zip(columns, REFERENCES.items(), strict=True):
        axes.axhline(0, color=MUTED, lw=1, ls=":")
        for place, (circuit, (colour, marker, dash)) in enumerate(zip(circuits, _STYLES, strict=False)):
            rows = table[(table["circuit"] == circuit) & (table["reference"] == reference)]
            at = rows["horizon"] + 0.08 * (place - (len(circuits) - 1) / 2)
            errors = np.stack([rows["skill"] - rows["ci_low"], rows["ci_high"] - rows["skill"]]).clip(min=0)
            axes.errorbar(at, rows["skill"], yerr=errors, fmt="none", ecolor=colour, lw=1)
            axes.plot(at, rows["skill"], color=colour, marker=marker, ls=dash, ms=4.5, label=CIRCUITS[circuit])
        axes.set_title(textwrap.fill(f"over {meaning}", _TITLE_WIDTH), fontsize="small", loc="left")
        axes.set(xlabel="volumes ahead", xlim=(0.6, 3.4), xticks=[1, 2, 3])
        axes.grid(axis="y", lw=0.5)
    columns[0].set_ylabel("skill")
    columns[0].yaxis.set_major_locator(MaxNLocator(5))
    figure.legend(*columns[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(circuits))
    values = "; ".join(
        f"{CIRCUITS[row['circuit']]} over {row['reference']} at {row['horizon']}: {number(row['skill'])}"
        for row in table.to_dict("records")
    )
    return picture(
        figure,
        alt=f"Points with intervals: skill of circuits over references by volumes ahead. {values}.",
        caption="Skill of each circuit over each reference, with 95 % intervals over subjects. Dotted: no better.",
        wide=True,
    )


def _table(table: pd.DataFrame) -> Table:
    names = {**CIRCUITS, **REFERENCES}
    rows = []
    for circuit in sorted(dict.fromkeys(table["circuit"]), key=lambda name: name in REFERENCES):
        for horizon in sorted(table["horizon"].unique()):
            here = table[(table["circuit"] == circuit) & (table["horizon"] == horizon)]
            scores = [_score(here[here["reference"] == reference]) for reference in REFERENCES]
            rows.append([names[circuit], str(horizon), *(score.text(3) for score in scores)])
    counted = listed(sorted({str(n) for n in table["n"]}))
    return Table(
        caption=f"Skill with 95 % intervals over {counted} held-out subjects; simple models stand beside the circuits.",
        columns=["predictor", "volumes ahead", *(f"over {meaning}" for meaning in REFERENCES.values())],
        rows=rows,
    )


def _score(rows: pd.DataFrame) -> Score:
    """The score of one row; missing where a predictor would be measured over itself."""
    if rows.empty:
        return Score(float("nan"))
    row = rows.iloc[0]
    return Score(row["skill"], row["ci_low"], row["ci_high"], int(row["n"]))
