"""Whether a ranking can be trusted: its checks in words, in pictures and as a table."""

from collections.abc import Sequence
from math import isnan, nan

import pandas as pd

from fmrifm.attribution.sanity import FOLLOWS, FOUND, INCOMPLETE, UNCHANGED, how_alike, verdicts
from fmrifm.report.check_figures import agreements, silencing, stability
from fmrifm.report.content import MISSING, Picture, Section, Table, number
from fmrifm.report.heatmaps import cell_text
from fmrifm.report.methods import method_of, sorted_methods, title_of
from fmrifm.report.region_tables import region_table
from fmrifm.report.runs import Run
from fmrifm.report.scores import Score

_COLUMNS = ("method", "check", "other", "value", "low", "high", "expected")
_CURVE_COLUMNS = ("method", "kind", "order", "share", "value")
_STABILITY_COLUMNS = ("method", "over", "a", "b", "spearman", "overlap", "chance", "k")
_CHECKS = {
    "randomised_weights": "same order with random weights",
    "permuted_labels": "same order with permuted labels",
    "size": "same order as region size",
    "size_mean": "same order as region size, per voxel",
    "tsnr": "same order as tSNR",
    "deletion": "deletion above random",
    "insertion": "insertion above random",
    "planted_randomised_weights": "finds the planted with random weights",
    "planted_permuted_labels": "finds the planted with permuted labels",
    "completeness": "largest error of the sum",
    "agreement": "same order as another method",
}
"""Checks in reading order, as a table names them."""
_BESIDE = {
    "randomised_weights": "random weights",
    "permuted_labels": "permuted labels",
    "size": "region size",
    "size_mean": "size, per voxel",
    "tsnr": "tSNR",
    "deletion": "deletion",
    "insertion": "insertion",
}
"""Checks that stand beside the ranking, and the heads of their columns; the folded table holds them all."""
_PARTLY = 0.5
"""Rank correlation from which two orders are called alike in part: a quarter of the ranks' variance."""
_HOW = (
    "The rank correlation of a ranking with that of random weights or permuted labels should be near 0; with region "
    "size, or with a region's temporal signal-to-noise (tSNR), near 1 would mean that it shows nothing else. Deletion "
    "and insertion are areas between curves of the classifier's AUC, with voxels silenced or kept by importance or in "
    "random order: above 0, the ranking names what the classifier uses."
)
_CAPTION = (
    "The rankings beside their checks: rank correlations (no unit) with what must not explain a ranking, and areas of "
    "deletion and insertion (AUC). Intervals and verdicts stand in the table below."
)


def check_table(run: Run) -> pd.DataFrame | None:
    """The checks of an attribute run, if it left them."""
    return run.table("checks.tsv", _COLUMNS)


def believed(run: Run, methods: Sequence[str]) -> list[str]:
    """What the checks say of some methods' own rankings, in sentences; none where there were no checks."""
    checks = check_table(run)
    if checks is None:
        return []
    own = checks[checks["check"] != "agreement"]
    return [sentence for method in methods for sentence in verdicts(own[own["method"] == method])]


def trust_section(run: Run) -> Section | None:
    """Show the checks of an attribute run; None where it has none, nor a planted difference to find."""
    checks, regions = check_table(run), region_table(run)
    methods = sorted_methods([] if regions is None else regions["method"])
    tables = [*_beside(run, checks, methods), *([] if checks is None else [_every_check(checks)])]
    pictures = [*_curves(run), *([] if checks is None else agreements(checks)), *_stability(run)]
    if not tables and not pictures:
        return None
    return Section(
        title="Can these rankings be trusted?",
        sentences=[] if checks is None else [_HOW],
        points=[] if checks is None else verdicts(checks),
        tables=tables,
        pictures=pictures,
    )


def verdict(check: str, score: Score) -> str:
    """Say in plain words what one check means for the ranking."""
    value = score.value
    if isnan(value):
        return MISSING
    if check in ("deletion", "insertion"):
        least = value if isnan(score.ci_low) else score.ci_low
        return "better than random" if least > 0 else "no better than random: in doubt"
    if check == "completeness":
        return "adds up" if value <= INCOMPLETE else "does not add up: in doubt"
    if check.startswith("planted"):
        found = value >= FOUND and not score.ci_low <= 0.5
        return "finds it all the same: in doubt" if found else "does not find it, as it should be"
    strong, partly = abs(value) >= FOLLOWS, abs(value) >= _PARTLY
    if check == "agreement":
        return how_alike(value, score.ci_low)
    if check in ("randomised_weights", "permuted_labels"):
        strong, partly = value >= UNCHANGED, value >= _PARTLY
        return "hardly changes: in doubt" if strong else "changes in part" if partly else "changes, as it should"
    return "follows it: in doubt" if strong else "follows it in part" if partly else "something else, as it should be"


def _beside(run: Run, checks: pd.DataFrame | None, methods: Sequence[str]) -> list[Table]:
    """One row a method: what it found of a planted difference, and the checks that matter most."""
    scores = [run.scores.get(f"auc_planted_{method}") for method in methods]
    columns = {"planted found (AUC)": [MISSING if score is None else str(score) for score in scores]}
    if checks is not None:
        value = checks.drop_duplicates(["method", "check"]).set_index(["method", "check"])["value"]
        for check, head in _BESIDE.items():
            columns[head] = [cell_text(value.get((method, check), nan), 2) for method in methods]
    columns = {name: cells for name, cells in columns.items() if set(cells) - {MISSING}}
    if not columns:
        return []
    rows = [[title_of(method), *cells] for method, *cells in zip(methods, *columns.values(), strict=True)]
    return [Table(caption=_CAPTION, columns=["method", *columns], rows=rows)]


def _every_check(checks: pd.DataFrame) -> Table:
    places = {check: place for place, check in enumerate(_CHECKS)}
    order = checks["check"].map(places).fillna(len(places)).argsort(kind="stable")
    rows = []
    for row in checks.iloc[order].to_dict("records"):
        check, score = str(row["check"]), Score(row["value"], row["low"], row["high"])
        other = title_of(str(row["other"])) if isinstance(row["other"], str) else MISSING
        interval = MISSING if isnan(score.ci_low) else f"{number(score.ci_low)} to {number(score.ci_high)}"
        figures = [number(score.value), interval, number(row["expected"], 1)]
        words = verdict(check, score) if check in _CHECKS else MISSING
        rows.append([title_of(str(row["method"])), _CHECKS.get(check, check), other, *figures, words])
    columns = ["method", "check", "other method", "value", "95 % interval", "expected", "verdict"]
    return Table(caption="All checks, each with a verdict", columns=columns, rows=rows, folded=True)


def _curves(run: Run) -> list[Picture]:
    curves = run.table("curves.tsv", _CURVE_COLUMNS)
    if curves is None:
        return []
    kinds = [kind for kind in ("deletion", "insertion") if kind in set(curves["kind"])]
    return [silencing(curves[curves["kind"] == kind], kind) for kind in kinds]


def _stability(run: Run) -> list[Picture]:
    pairs = run.table("stability.tsv", _STABILITY_COLUMNS)
    if pairs is None or pairs["overlap"].isna().all():
        return []
    rows = {method_of(method).name: pairs[pairs["method"] == method] for method in sorted_methods(pairs["method"])}
    return [stability(rows, "folds", ", each ranking from its own test subjects")]
