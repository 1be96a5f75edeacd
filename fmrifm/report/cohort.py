"""The cohort's section: who was scanned where, with which label and protocol."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fmrifm.report.content import Section, Table, counted, listed, number
from fmrifm.report.figures import label_bars
from fmrifm.report.runs import Run

_COLUMNS = ("scan", "subject", "site")
_MOST_CLASSES = 5


def cohort_sections(runs: Sequence[Run]) -> list[Section]:
    """One section for every store that the runs read, from the first of its runs that kept the scan table."""
    stores: dict[object, list[Run]] = {}
    for run in runs:
        stores.setdefault(run.provenance.get("store_fingerprint"), []).append(run)
    several = len(stores) > 1
    sections = (_section(group, several) for group in stores.values())
    return [section for section in sections if section is not None]


def _section(runs: Sequence[Run], several: bool) -> Section | None:
    scans = next((table for run in runs if (table := run.table("scans.tsv", _COLUMNS)) is not None), None)
    if scans is None or scans.empty:
        return None
    name = str(runs[0].cohort.get("name", "unnamed"))
    return cohort_section(
        scans,
        title=f"Cohort: {name}" if several else "Cohort",
        target=next((run.target for run in runs if run.stage in ("finetune", "evaluate", "compare")), "dx"),
        about=runs[0].cohort,
    )


def cohort_section(scans: pd.DataFrame, *, title: str, target: str, about: Mapping[str, Any]) -> Section:
    """Count scans, subjects and labels of a scan table.

    Args:
        scans: One row a scan, at least one.
        title: Heading.
        target: Column of the labels; absent, all subjects are unlabelled.
        about: Where known: atlas, regions (how many), and the names of those rescued and lost.
    """
    subjects = scans.drop_duplicates("subject")
    labels = _label_counts(subjects, target)
    return Section(
        title=title,
        sentences=[_size(scans, subjects), *_atlas(about)],
        pictures=[label_bars(labels, _meaning(subjects, target))],
        tables=[_table(scans, labels)],
    )


def _size(scans: pd.DataFrame, subjects: pd.DataFrame) -> str:
    sites = counted(scans["site"].nunique(), "site")
    return f"{counted(len(scans), 'scan')} of {counted(len(subjects), 'subject')} from {sites}."


def _atlas(cohort: Mapping[str, Any]) -> list[str]:
    sentences = []
    if "atlas" in cohort:
        sentences.append(f"Regions: {cohort['atlas']}, {counted(int(cohort.get('regions', 0)), 'region')} on the grid.")
    if rescued := cohort.get("rescued"):
        sentences.append(f"Too small for the grid and kept as one voxel: {listed(rescued)}.")
    if lost := cohort.get("lost"):
        sentences.append(f"Without a voxel on the grid, and left out: {listed(lost)}.")
    return sentences


def _values(subjects: pd.DataFrame, target: str) -> pd.Series:
    return pd.to_numeric(subjects[target], errors="coerce") if target in subjects else pd.Series(index=subjects.index)


def _names(values: pd.Series) -> dict[int, str]:
    """Names of the labels: cases and controls, or numbers where there are more than two classes."""
    found = sorted(values.dropna().unique())
    if 2 < len(found) <= _MOST_CLASSES and found == list(range(len(found))):
        return {value: f"label {value}" for value in range(len(found))}
    return {0: "controls", 1: "cases"}


def _meaning(subjects: pd.DataFrame, target: str) -> str:
    meant = ": 0 control, 1 case" if "controls" in _names(_values(subjects, target)).values() else ""
    return f"label (column {target}{meant})"


def _label_counts(subjects: pd.DataFrame, target: str) -> dict[str, dict[str, int]]:
    """Subjects of each site by label, sites in alphabetical order."""
    values = _values(subjects, target)
    names = _names(values)
    groups = {name: values == value for value, name in names.items()} | {"unlabelled": ~values.isin(list(names))}
    sites = subjects["site"].fillna("unknown")
    counts = {
        str(site): {name: int(member[rows].sum()) for name, member in groups.items()}
        for site, rows in sites.groupby(sites).groups.items()
    }
    unused = [name for name in groups if not any(row[name] for row in counts.values())]
    return {site: {name: n for name, n in row.items() if name not in unused} for site, row in counts.items()}


def _table(scans: pd.DataFrame, labels: Mapping[str, Mapping[str, int]]) -> Table:
    names = list(next(iter(labels.values())))
    quantities = {
        "TR (s)": ("tr_s", 2),
        "volumes": ("n_volumes", 0),
        "age (years)": ("age", 1),
        "brain covered (%)": ("coverage", 0),
    }
    shown = {head: (column, decimals) for head, (column, decimals) in quantities.items() if column in scans}
    rows = []
    for site, of_site in scans.assign(site=scans["site"].fillna("unknown")).groupby("site"):
        counts = [str(labels[str(site)][name]) for name in names]
        spreads = [_spread(of_site[column], decimals) for column, decimals in shown.values()]
        rows.append([str(site), str(len(of_site)), *counts, *spreads])
    return Table(
        caption="Sites: scans, subjects by label, and median (lowest to highest) of what differs between scans.",
        columns=["site", "scans", *names, *shown],
        rows=rows,
    )


def _spread(column: pd.Series, decimals: int) -> str:
    values = pd.to_numeric(column, errors="coerce").dropna() * (100 if column.name == "coverage" else 1)
    if values.empty:
        return "–"
    low, middle, high = (number(value, decimals) for value in (values.min(), values.median(), values.max()))
    return middle if low == high else f"{middle} ({low} to {high})"
