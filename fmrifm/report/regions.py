"""Attribution's section: regions and systems ranked by what they gave to reconstruction and to the classifier."""

from collections.abc import Sequence

import pandas as pd

from fmrifm.report.brain import importance_map
from fmrifm.report.content import Picture, Section, Table, counted, number, significant
from fmrifm.report.figures import ranking, system_bars
from fmrifm.report.runs import Run
from fmrifm.report.scores import label, ordered

SIGNIFICANT = 0.05
_SHOWN = 20
_UNITS = {"fidelity": "R² of the hidden region", "occlusion": "importance by occlusion (log-odds)"}
_MEANINGS = {
    "fidelity": "Fidelity is the R² of a region's voxels when it is hidden whole and predicted from the others.",
    "occlusion": "Occlusion is how far silencing a region narrows the classifier's gap between cases and controls.",
}
_SYSTEM_COLUMNS = ("system", "method", "importance", "ci_low", "ci_high", "p_fdr", "rank")
_REGION_COLUMNS = ("index", "name", "n_voxels", "coverage", *_SYSTEM_COLUMNS)


def regions_section(run: Run, title: str) -> Section:
    """Show what one attribute run found."""
    regions, planted = by_method(region_table(run)), run.cohort.get("planted") or []
    methods = [method for method, _ in regions]
    pictures, tables = [_map(run, methods)] if (run.path / "importance.nii.gz").exists() else [], []
    for method, systems in by_method(system_table(run)):
        caption = f"Systems by {method}, with 95 % intervals."
        pictures.append(system_bars(systems, _unit(method), caption))
    for method, of_method in regions:
        pictures.append(_ranking(of_method, method, planted))
        tables.append(_table(of_method, method, planted))
    scores = [f"{label(metric)}: {run.scores[metric]}." for metric in ordered(run.scores)]
    meanings = [_MEANINGS[method] for method in methods if method in _MEANINGS]
    return Section(
        title=title,
        sentences=[*meanings, *scores],
        pictures=pictures,
        tables=tables,
    )


def region_table(run: Run) -> pd.DataFrame | None:
    """The regions of an attribute run, if it left them."""
    return run.table("regions.tsv", _REGION_COLUMNS)


def system_table(run: Run) -> pd.DataFrame | None:
    """The systems of an attribute run, if it left them."""
    return run.table("systems.tsv", _SYSTEM_COLUMNS)


def by_method(table: pd.DataFrame | None) -> list[tuple[str, pd.DataFrame]]:
    """Split a table of regions or systems by method, best rank first, rows without a score left out."""
    if table is None:
        return []
    scored = table.dropna(subset=["importance"]).sort_values("rank", kind="stable")
    return [(str(method), rows) for method, rows in scored.groupby("method")]


def _unit(method: str) -> str:
    return _UNITS.get(method, f"importance by {method}")


def _map(run: Run, methods: Sequence[str]) -> Picture:
    # The stage maps the classifier's regions where it has explained a classifier.
    method = "occlusion" if "occlusion" in methods else next(iter(methods), "attribution")
    caption = f"Each region's importance by {method} on the MNI template, left side on the left. "
    return importance_map(run.path / "importance.nii.gz", _unit(method), f"{caption}Weak values fade into grey.")


def _ranking(regions: pd.DataFrame, method: str, planted: Sequence[int]) -> Picture:
    top = regions.head(_SHOWN)
    signs = "" if top["p_fdr"].isna().all() else f" Filled: p < {SIGNIFICANT} (FDR)."
    if planted:
        signs += f" Diamonds: planted, {int(top['index'].isin(planted).sum())} of {len(planted)} are among these."
    caption = f"The {len(top)} leading of {counted(len(regions), 'region')} by {method}, with 95 % intervals.{signs}"
    return ranking(top, _unit(method), planted, caption)


def _table(regions: pd.DataFrame, method: str, planted: Sequence[int]) -> Table:
    rows = []
    for row in regions.to_dict("records"):
        cells = [
            number(row["rank"], 0),
            str(row["name"]),
            str(row["system"]),
            significant(row["importance"]),
            f"{significant(row['ci_low'])} to {significant(row['ci_high'])}",
            significant(row["p_fdr"], 2),
            number(row["n_voxels"], 0),
            number(100 * row["coverage"], 0),
        ]
        rows.append(cells + (["planted" if row["index"] in planted else ""] if planted else []))
    columns = ["rank", "region", "system", "importance", "95 % interval", "p (FDR)", "voxels", "covered (%)"]
    caption = f"All {counted(len(regions), 'region')} by {method}"
    return Table(caption=caption, columns=columns + (["truth"] if planted else []), rows=rows, folded=True)
