"""What attribution left, read from its tables, and all of it as tables of the page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from fmrifm.report.content import MISSING, Table, counted, number, significant
from fmrifm.report.methods import method_of, sorted_methods, title_of
from fmrifm.report.runs import Run

_SYSTEM_COLUMNS = ("system", "method", "importance", "ci_low", "ci_high", "p_fdr", "rank")
_REGION_COLUMNS = ("index", "name", "n_voxels", "coverage", *_SYSTEM_COLUMNS)
_DETAIL_COLUMNS = (
    "index", "method", "total", "total_low", "total_high", "mean", "mean_low", "mean_high", "rank_total", "rank_mean",
    "label_0", "label_1", "difference", "difference_low", "difference_high", "p", "asymmetry", "asymmetry_low",
    "asymmetry_high", "correlation",
)  # fmt: skip
Row = Mapping[Any, Any]


def region_table(run: Run) -> pd.DataFrame | None:
    """The regions of an attribute run, if it left them."""
    return run.table("regions.tsv", _REGION_COLUMNS)


def system_table(run: Run) -> pd.DataFrame | None:
    """The systems of an attribute run, if it left them."""
    return run.table("systems.tsv", _SYSTEM_COLUMNS)


def detail_table(run: Run) -> pd.DataFrame | None:
    """The details of its regions, if it left them; `p_fdr` becomes `difference_p_fdr`."""
    details = run.table("region_details.tsv", (*_DETAIL_COLUMNS, "p_fdr"))
    return None if details is None else details.rename(columns={"p_fdr": "difference_p_fdr"})


def by_method(table: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    """Split a table of regions or systems by method, best rank first, rows without a score left out."""
    if table is None:
        return {}
    scored = table.dropna(subset=["importance"]).sort_values("rank", kind="stable")
    return {method: scored[scored["method"] == method] for method in sorted_methods(scored["method"])}


def full_tables(
    regions: Mapping[str, pd.DataFrame], details: pd.DataFrame | None, planted: Sequence[int]
) -> list[Table]:
    """Every region by every method, folded.

    Args:
        regions: Rows of regions.tsv by method, best first.
        details: Rows of region_details.tsv, for what else is known.
        planted: Atlas values of regions with a planted difference.
    """
    return [_regions_by(method, _joined(rows, details), planted) for method, rows in regions.items()]


def systems_table(systems: Mapping[str, pd.DataFrame]) -> Table:
    """Every system by every method, folded."""
    cells: dict[str, Callable[[Row], str]] = {
        "method": lambda row: title_of(row["method"]),
        "rank": lambda row: number(row["rank"], 0),
        "system": lambda row: str(row["system"]),
        "importance": lambda row: significant(row["importance"]),
        "95 % interval": _interval("ci"),
        "p (FDR)": lambda row: _p(row["p_fdr"]) if method_of(row["method"]).tested else MISSING,
    }
    rows = pd.concat(systems.values()).to_dict("records")
    return _filled("All systems by every method: mean over their regions, weighted by voxels", cells, rows)


def _joined(regions: pd.DataFrame, details: pd.DataFrame | None) -> pd.DataFrame:
    if details is None:
        return regions
    return regions.merge(details.drop(columns=["name", "system", "n_voxels"]), on=["index", "method"], how="left")


def _regions_by(method: str, regions: pd.DataFrame, planted: Sequence[int]) -> Table:
    """The columns that say something; what is missing in every row is left out."""
    about = method_of(method)
    cells: dict[str, Callable[[Row], str]] = {
        "rank": lambda row: number(row["rank"], 0),
        "region": lambda row: str(row["name"]),
        "system": lambda row: str(row["system"]),
        "importance": lambda row: significant(row["importance"]),
        "95 % interval": _interval("ci"),
        "p (FDR)": lambda row: _p(row["p_fdr"]) if about.tested else MISSING,
    }
    if "mean" in regions and regions["total"].notna().any():
        cells |= {
            "rank per voxel": lambda row: number(row["rank_mean"], 0),
            "per voxel": lambda row: significant(row["mean"]),
            "per voxel, 95 % interval": _interval("mean"),
        }
    if "mean" in regions:
        cells |= {
            "r of time courses": lambda row: number(row["correlation"]),
            "controls": lambda row: significant(row["label_0"]),
            "cases": lambda row: significant(row["label_1"]),
            "cases − controls": lambda row: significant(row["difference"]),
            "difference, 95 % interval": _interval("difference"),
            "difference, p": lambda row: _p(row["p"]),
            "difference, p (FDR)": lambda row: _p(row["difference_p_fdr"]),
            "left − right": lambda row: significant(row["asymmetry"]),
            "left − right, 95 % interval": _interval("asymmetry"),
        }
    cells |= {
        "voxels": lambda row: number(row["n_voxels"], 0),
        "covered (%)": lambda row: number(100 * row["coverage"], 0),
        "truth": lambda row: "planted" if row["index"] in planted else "",
    }
    caption = f"All {counted(len(regions), 'region')} by {about.name}"
    return _filled(f"{caption}: {about.unit}", cells, regions.to_dict("records"))


def _filled(caption: str, cells: Mapping[str, Callable[[Row], str]], rows: Sequence[Row]) -> Table:
    columns = {name: [write(row) for row in rows] for name, write in cells.items()}
    columns = {name: found for name, found in columns.items() if set(found) - {MISSING, ""}}
    return Table(caption=caption, columns=list(columns), rows=list(zip(*columns.values(), strict=True)), folded=True)


def _interval(name: str) -> Callable[[Row], str]:
    def write(row: Row) -> str:
        low, high = significant(row[f"{name}_low"]), significant(row[f"{name}_high"])
        return MISSING if MISSING in (low, high) else f"{low} to {high}"

    return write


def _p(value: float) -> str:
    return significant(value, 2)
