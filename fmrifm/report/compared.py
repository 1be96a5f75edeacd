"""Runs of one stage beside each other: their settings, their scores, and how far their rankings of regions agree."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from fmrifm.attribution.stability import agreement
from fmrifm.report.check_figures import stability
from fmrifm.report.content import MISSING, Section, Table, counted, listed, number
from fmrifm.report.methods import method_of, sorted_methods, title_of
from fmrifm.report.region_tables import by_method, region_table
from fmrifm.report.runs import Run
from fmrifm.report.score_figures import by_run
from fmrifm.report.scores import label, ordered

_STAGES = {
    "pretrain": ("Pretraining", ("r2_voxel", "r2_region")),
    "finetune": ("Classification (finetune)", ("auc", "balanced_accuracy")),
    "evaluate": ("Classification", ("auc", "balanced_accuracy")),
    "attribute": ("Regions", ()),
}
"""Heading of each stage, and the scores of it that are drawn where runs have them."""
_CHANCE = {"auc": 0.5, "balanced_accuracy": 0.5}
_UNTOLD = ("out", "resume")
"""Settings that say nothing of a result."""
_LEADING = 10
ByRun = Mapping[str, Mapping[str, pd.DataFrame]]


def compared_sections(runs: Sequence[Run]) -> list[Section]:
    """One section with a part for every stage that several runs are of; none where no stage has more than one."""
    parts = []
    for stage, (title, metrics) in _STAGES.items():
        of_stage = [run for run in runs if run.stage == stage]
        if len(of_stage) > 1:
            parts.append(_rankings(of_stage, title) if stage == "attribute" else _scores(of_stage, title, metrics))
    return [Section(title="Runs compared", parts=parts)] if parts else []


def _scores(runs: Sequence[Run], title: str, drawn: Sequence[str]) -> Section:
    scores = {run.name: run.scores for run in runs}
    metrics = ordered(dict.fromkeys(metric for found in scores.values() for metric in found))
    rows = [
        [name, *(str(found[metric]) if metric in found else MISSING for metric in metrics)]
        for name, found in scores.items()
    ]
    shown = {metric: {name: found[metric] for name, found in scores.items() if metric in found} for metric in drawn}
    table = Table(
        caption="Scores of every run on held-out subjects, with 95 % intervals. Intervals that overlap do not make two "
        "runs equal, nor do those that do not make one of them better by its settings: another seed moves them too.",
        columns=["run", *map(label, metrics)],
        rows=rows,
    )
    return Section(
        title=title,
        sentences=_seeds(runs),
        pictures=[by_run(metric, found, _CHANCE.get(metric, 0.0)) for metric, found in shown.items() if found],
        tables=[*([table] if metrics else []), *_settings(runs)],
    )


def _rankings(runs: Sequence[Run], title: str) -> Section:
    rankings = {run.name: by_method(region_table(run)) for run in runs}
    pairs = _pairs(rankings)
    if pairs.empty:
        return Section(title=title, sentences=["No two of these runs asked the same method."], tables=_settings(runs))
    groups = {method: pairs[pairs["method"] == method] for method in sorted_methods(pairs["method"])}
    rows = [
        [title_of(method), row["a"], row["b"], number(row["spearman"]), number(row["overlap"]), number(row["chance"])]
        for method, found in groups.items()
        for row in found.to_dict("records")
    ]
    columns = ["method", "run", "other run", "rank correlation", f"share of top {_LEADING} in both", "by chance"]
    tables = [Table(caption="How far the rankings of every two runs agree.", columns=columns, rows=rows)]
    return Section(
        title=title,
        sentences=[*(_agreement(method_of(method).name, found) for method, found in groups.items()), *_seeds(runs)],
        pictures=[stability({method_of(method).name: found for method, found in groups.items()}, "runs")],
        tables=[*tables, *_shared(rankings), *_settings(runs)],
    )


def _pairs(rankings: ByRun) -> pd.DataFrame:
    """Rows as in stability.tsv, of every two runs that asked the same method."""
    rows = []
    for (a, first), (b, second) in combinations(rankings.items(), 2):
        for method in [method for method in first if method in second]:
            both = [found[method].set_index("index")["importance"] for found in (first, second)]
            one, other = pd.concat(both, axis=1).to_numpy(float).T
            rows.append({"method": method, "a": a, "b": b, **agreement(one, other)})
    return pd.DataFrame(rows)


def _agreement(name: str, pairs: pd.DataFrame) -> str:
    mean, chance = pairs["overlap"].mean(), pairs["chance"].mean()
    of = "" if len(pairs) == 1 else f", on average of {counted(len(pairs), 'pair')} of runs"
    return (
        f"By {name}, {number(100 * mean, 0)} % of the {_LEADING} leading regions are the same{of}; chance would give "
        f"{number(100 * chance, 0)} %."
    )


def _shared(rankings: ByRun) -> list[Table]:
    """Regions that lead in at least two runs by the same method, with their rank in each."""
    rows = []
    for method in sorted_methods(method for found in rankings.values() for method in found):
        asked = {name: found[method] for name, found in rankings.items() if method in found}
        rank = pd.DataFrame({name: table.set_index("index")["rank"] for name, table in asked.items()}).astype(float)
        region = pd.concat(asked.values()).drop_duplicates("index").set_index("index")
        often = (rank <= _LEADING).sum(axis=1)
        for index in rank[often > 1].mean(axis=1).sort_values(kind="stable").index:
            ranks = [number(rank[name].get(index), 0) if name in rank else MISSING for name in rankings]
            about = [str(region.loc[index, "name"]), str(region.loc[index, "system"])]
            rows.append([title_of(method), *about, f"{often[index]} of {len(asked)}", *ranks])
    caption = f"Regions among the {_LEADING} leading of more than one run, with their rank in each"
    columns = ["method", "region", "system", f"top {_LEADING} in", *rankings]
    return [Table(caption=caption, columns=columns, rows=rows, folded=True)] if rows else []


def _seeds(runs: Sequence[Run]) -> list[str]:
    """Warn of seeds that several runs share: they hide how much chance alone would change."""
    seeds = [run.provenance.get("seed") for run in runs]
    shared = [seed for seed in dict.fromkeys(seeds) if seed is not None and seeds.count(seed) > 1]
    names = [listed([run.name for run, its in zip(runs, seeds, strict=True) if its == seed]) for seed in shared]
    return [
        f"{sharing} share seed {seed}: how far another seed alone would move them is not shown."
        for sharing, seed in zip(names, shared, strict=True)
    ]


def _settings(runs: Sequence[Run]) -> list[Table]:
    """Settings in which the runs differ, if they do."""
    settings = [_flat(run.settings) for run in runs]
    names = [name for name in dict.fromkeys(name for found in settings for name in found) if name not in _UNTOLD]
    rows = [[name, *(str(found.get(name, MISSING)) for found in settings)] for name in names]
    rows = [row for row in rows if len(set(row[1:])) > 1]
    caption = "Settings in which these runs differ"
    columns = ["setting", *(run.name for run in runs)]
    return [Table(caption=caption, columns=columns, rows=rows, folded=True)] if rows else []


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(settings, dict) or not settings:
        return {prefix[:-1]: settings} if prefix else {}
    return {key: value for name in settings for key, value in _flat(settings[name], f"{prefix}{name}.").items()}
