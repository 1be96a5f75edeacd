"""The trial of masking as a compare run left it: scores and differences of each level of its factors."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from fmrifm.report.names import BASELINES
from fmrifm.report.runs import Run
from fmrifm.report.scores import Difference, Score, ordered

_SCORE_COLUMNS = ("masker", "metric", "value", "ci_low", "ci_high", "n")
_DIFFERENCE_COLUMNS = ("masker", "reference", "metric", "value", "ci_low", "ci_high", "p", "n_folds", "n", "smallest")
_BOOT = ("boot_low", "boot_high")


@dataclass(frozen=True, kw_only=True)
class Level:
    """One setting of the factors; the only one where the trial has none."""

    name: str
    """The factors with their values, such as "masking.ratio 0.5"; empty without factors."""
    scores: dict[str, dict[str, Score]]
    """By model and metric; maskers first, then baselines."""
    differences: dict[str, dict[str, Difference]]
    """From the reference, by metric and model."""
    reference: str
    pairs: int
    """Most pairs of cells (seeds by folds) behind a difference."""

    def metrics(self) -> list[str]:
        """Metrics of any model, in reading order."""
        return ordered({metric: None for found in self.scores.values() for metric in found})


def levels(run: Run) -> list[Level]:
    """Read what the trial found; empty where the stage left neither table or nothing in them."""
    scores = _known(run.table("maskers.tsv", _SCORE_COLUMNS), _SCORE_COLUMNS)
    differences = _known(run.table("differences.tsv", _DIFFERENCE_COLUMNS), _DIFFERENCE_COLUMNS)
    if scores.empty and differences.empty:
        return []
    factors = list(dict.fromkeys(name for table in (scores, differences) for name in _factors(table)))
    settings = pd.concat([table[[name for name in factors if name in table]] for table in (scores, differences)])
    found = [] if not factors else settings.dropna().drop_duplicates().sort_values(factors).to_dict("records")
    return [
        _level({str(name): value for name, value in setting.items()}, scores, differences) for setting in found or [{}]
    ]


def maskers(models: Sequence[str]) -> list[str]:
    """Those of the models that are masking strategies, not baselines."""
    return [model for model in models if model not in BASELINES]


def _known(table: pd.DataFrame | None, columns: Sequence[str]) -> pd.DataFrame:
    """Rows with a value; an empty table where the stage left none."""
    return pd.DataFrame(columns=list(columns)) if table is None else table.dropna(subset=["value"])


def _factors(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table if name not in (*_SCORE_COLUMNS, *_DIFFERENCE_COLUMNS, *_BOOT)]


def _level(setting: dict[str, object], scores: pd.DataFrame, differences: pd.DataFrame) -> Level:
    scores, differences = (_rows(table, setting) for table in (scores, differences))
    by_model: dict[str, dict[str, Score]] = {}
    for row in scores.to_dict("records"):
        by_model.setdefault(str(row["masker"]), {})[str(row["metric"])] = Score.from_json(row)
    by_metric: dict[str, dict[str, Difference]] = {}
    for row in differences.to_dict("records"):
        by_metric.setdefault(str(row["metric"]), {})[str(row["masker"])] = Difference.from_json(row)
    first = maskers(list(by_model))
    return Level(
        name=", ".join(f"{name} {value}" for name, value in setting.items()),
        scores={name: by_model[name] for name in [*first, *(name for name in by_model if name not in first)]},
        differences={metric: by_metric[metric] for metric in ordered(by_metric)},
        reference=str(differences["reference"].iloc[0]) if len(differences) else "",
        pairs=int(differences["n_folds"].max()) if differences["n_folds"].notna().any() else 0,
    )


def _rows(table: pd.DataFrame, setting: dict[str, object]) -> pd.DataFrame:
    """Rows of a level; what has no level, such as a baseline, belongs to each."""
    for name, value in setting.items():
        if name in table:
            table = table[(table[name] == value) | table[name].isna()]
    return table
