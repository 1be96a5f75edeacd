"""The trial of masking: strategies beside each other, equal in everything but what they hide."""

from collections.abc import Sequence

import pandas as pd

from fmrifm.report.content import MISSING, Picture, Section, Table, counted, listed
from fmrifm.report.differences import COLUMNS, cells, power_line
from fmrifm.report.names import UNTRAINED, in_text, model_name
from fmrifm.report.runs import Run
from fmrifm.report.score_figures import paired, side_by_side
from fmrifm.report.scores import NO_BETTER, headline, in_sentence, label, signed, span
from fmrifm.report.trial_tables import Level, levels, maskers

_CELL_COLUMNS = ("masker", "seed", "fold", "updates", "hidden_share")
_KINDS = {"better": "better in", "worse": "worse in", NO_BETTER: "no difference shown in"}


def trial_section(run: Run, title: str) -> Section:
    """Show what one compare run found; with factors, one part for each of their levels."""
    found = levels(run)
    design = _design(run)
    if len(found) == 1 and not found[0].name:
        return _block(found[0], title, design)
    return Section(title=title, sentences=design, parts=[_block(level, level.name, []) for level in found])


def trial_summary(run: Run) -> list[str]:
    """Which masking strategies classify otherwise than the reference, and what would have been missed."""
    return [sentence for level in levels(run) for sentence in _outcome(level)]


def _block(level: Level, title: str, before: Sequence[str]) -> Section:
    differences = {metric: found for metric, found in level.differences.items() if _is_shown(metric)}
    forests = [paired(metric, found, level.reference) for metric, found in differences.items()]
    return Section(
        title=title,
        sentences=[*before, *_power(level)],
        points=_verdicts(level),
        pictures=[*_overview(level), *forests],
        tables=[*_scores(level), *_differences(level)],
    )


def _is_shown(metric: str) -> bool:
    return metric == "auc" or metric.startswith("r2_")


def _overview(level: Level) -> list[Picture]:
    metrics = level.metrics()
    groups = ([metric for metric in metrics if metric.startswith("r2_voxel")][:2], [headline(dict.fromkeys(metrics))])
    panels = [[metric for metric in group if metric] for group in groups]
    shown = [panel for panel in panels if panel]
    return [side_by_side(level.scores, shown)] if shown else []


def _scores(level: Level) -> list[Table]:
    metrics = level.metrics()
    if not metrics:
        return []
    rows = [
        [
            model_name(name),
            *(found[metric].text(_decimals(metric)) if metric in found else MISSING for metric in metrics),
        ]
        for name, found in level.scores.items()
    ]
    caption = (
        "Masking strategies and baselines on the same subjects and folds, with 95 % intervals. R² is of what was "
        "hidden in held-out subjects, with every model tested under the same masks, whichever it was trained with."
    )
    return [Table(caption=caption, columns=["masks or baseline", *map(label, metrics)], rows=rows)]


def _decimals(metric: str) -> int:
    return 3 if metric.startswith("r2_") else 2


def _differences(level: Level) -> list[Table]:
    rows = [
        [label(metric), model_name(name), *cells(difference, metric)]
        for metric, found in level.differences.items()
        for name, difference in found.items()
    ]
    if not rows:
        return []
    caption = (
        f"Differences from {level.reference}, with intervals and p of the corrected resampled t-test over "
        "seeds and folds (Nadeau and Bengio 2003)"
    )
    return [Table(caption=caption, columns=["score", "masks or baseline", *COLUMNS], rows=rows, folded=True)]


def _verdicts(level: Level) -> list[str]:
    """One sentence a model on how it stands to the reference."""
    models = dict.fromkeys(name for found in level.differences.values() for name in found)
    return [_verdict(level, model) for model in models]


def _verdict(level: Level, model: str) -> str:
    kinds: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for metric, found in level.differences.items():
        if model in found and _is_shown(metric):
            figures = found[model].full() if metric == "auc" else signed(found[model].value)
            kinds[found[model].verdict(metric)].append(f"{label(metric)} ({figures})")
    words = [f"{_KINDS[kind]} {listed(metrics)}" for kind, metrics in kinds.items() if metrics]
    return f"{_capital(in_text(model))} against {level.reference}: {'; '.join(words)}."


def _power(level: Level) -> list[str]:
    metric = headline(level.differences)
    if metric is None:
        return []
    found = list(level.differences[metric].values())
    subjects = counted(max(difference.n for difference in found), "subject")
    return power_line(found, metric, f"{subjects} and {level.pairs} pairs of cells (folds × seeds)")


def _outcome(level: Level) -> list[str]:
    """The trial in sentences: classification, whether pretraining added anything, reconstruction, and power."""
    judged = headline(level.differences)
    metrics = [metric for metric in level.differences if metric == judged or metric.startswith("r2_voxel")]
    where = f"Trial of masking, {level.name}" if level.name else "Trial of masking"
    words = {metric: f"by {in_sentence(metric)}, {found}" for metric in metrics if (found := _groups(level, metric))}
    first = [f"{where}: {words.pop(judged)}."] if judged in words else []
    power = _power(level)
    # Of several levels the page's first words give the classification alone.
    then = [f"{where}: {'; '.join(words.values())}."] if words and not level.name else []
    return [*([" ".join([*first, *power])] if first else []), *_idle(level), *then]


def _groups(level: Level, metric: str) -> str:
    """Maskers that are better, worse and not told apart, with figures for the first two."""
    found = level.differences[metric]
    kinds: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for name in maskers(list(found)):
        kind = found[name].verdict(metric)
        kinds[kind].append(name if kind == NO_BETTER else f"{name} ({found[name].full()})")
    words = [
        f"{listed(kinds[kind])} {_be(kinds[kind])} {kind} than {level.reference}"
        for kind in ("better", "worse")
        if kinds[kind]
    ]
    if level_with := kinds[NO_BETTER]:
        words.append(f"no difference from {level.reference} is shown for {listed(level_with)}")
    return "; ".join(words)


def _be(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _idle(level: Level) -> list[str]:
    """Say it where an encoder that was not trained does as well as the reference."""
    metric = headline(level.differences)
    difference = level.differences[metric].get(UNTRAINED) if metric else None
    if difference is None or metric is None or difference.verdict(metric) == "worse":
        return []
    where = f"With {level.name}, the" if level.name else "The"
    return [
        f"{where} {model_name(UNTRAINED)} is not shown to be worse than {level.reference} ({difference.full()}): "
        "pretraining added nothing to classification that this trial could show."
    ]


def _design(run: Run) -> list[str]:
    """What was run: cells, seeds, folds, updates and hidden share."""
    table = run.table("cells.tsv", _CELL_COLUMNS)
    if table is None or table.empty:
        return []
    names = list(dict.fromkeys(table["masker"]))
    trained = table[table["masker"].isin(maskers(names))]
    # Folds may be numbered within a seed or, as compare does, through all of them.
    seeds, pairs = trained["seed"].nunique(), len(trained.drop_duplicates(["seed", "fold"]))
    others = [in_text(name) for name in names if name not in maskers(names)]
    beside = f", beside {listed(others)}" if others else ""
    return [
        f"{counted(len(table), 'cell')}: {listed(maskers(names))} masks{beside}, with {counted(seeds, 'seed')} and "
        f"{counted(pairs // seeds, 'fold')}.",
        *_missing(trained, pairs),
        *_effort(trained),
    ]


def _missing(trained: pd.DataFrame, each: int) -> list[str]:
    """Say how many cells of maskers and levels are not there, each pair of which has so many."""
    factors = [name for name in trained if "." in str(name)]
    settings = len(trained[factors].drop_duplicates()) if factors else 1
    planned = each * trained["masker"].nunique() * settings
    missing = planned - len(trained)
    return [f"Not finished: {missing} of {counted(planned, 'trained cell')} missing."] if missing else []


def _effort(trained: pd.DataFrame) -> list[str]:
    updates, hidden = span(trained["updates"].tolist(), 0), span((100 * trained["hidden_share"]).tolist(), 1)
    words = [f"was trained for {updates} updates"] if updates else []
    words += [f"hid {hidden} % of the voxels"] if hidden else []
    return [f"Every cell {listed(words)}."] if words else []


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
