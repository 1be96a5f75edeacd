"""The trial of masking: which cells it has, and what they say together.

A cell is one strategy in one fold of one seed: everything but the strategy is equal within a seed and fold, so
that strategies are compared pair by pair.

Axes: J cells of one strategy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import product
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from fmrifm.config import CompareConfig
from fmrifm.errors import ConfigError
from fmrifm.evaluation.metrics import by_subject, classification_scores
from fmrifm.evaluation.paired import corrected_t, paired_differences
from fmrifm.evaluation.splits import Fold

UNTRAINED = "untrained"
"""The encoder at its random initialisation: what pretraining adds is the difference to it."""
CONNECTOME = "connectome"
"""Correlations between region means: what no network is needed for."""
RECONSTRUCTION = ("r2_voxel_random", "r2_region_random", "r2_voxel_region", "r2_region_region")
CLASSIFICATION = ("auc", "balanced_accuracy")

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Cell:
    """One pretraining, or one encoder that is not trained, judged on one fold."""

    masker: str
    seed: int
    fold: int
    """Number of the fold through all seeds."""
    levels: Mapping[str, Any] = field(default_factory=dict)
    """Level of each further factor, by the name of its setting."""
    number: int = 0
    """Place among all cells of the trial."""

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.number:04d}-{self.masker}-seed{self.seed}-fold{self.fold}"

    def row(self) -> dict[str, Any]:
        """As a row of cells.tsv begins; a level that is no number or word is written as text."""
        levels = {name: v if isinstance(v, int | float | str) else str(v) for name, v in self.levels.items()}
        return {"masker": self.masker, "seed": self.seed, "fold": self.fold, **levels}


def trial_cells(config: CompareConfig, folds: Sequence[Fold]) -> list[Cell]:
    """Every strategy, and the untrained encoder, in every fold and with every combination of the factors."""
    combinations = [dict(zip(config.factors, levels, strict=True)) for levels in product(*config.factors.values())]
    cells = [
        Cell(masker, fold.repeat, number, levels)
        # A seed after the other, and within it fold by fold: an interrupted trial has whole comparisons.
        for number, fold in enumerate(folds)
        for levels in combinations
        for masker in (*config.maskers, UNTRAINED)
    ]
    return [replace(cell, number=number) for number, cell in enumerate(cells)]


def with_levels(config: Settings, levels: Mapping[str, Any]) -> Settings:
    """Settings with some of them changed by dotted name.

    Raises:
        ConfigError: There is no such setting.
    """
    for name, level in levels.items():
        config = _changed(config, name.split("."), level, name)
    return config


def _changed(part: Any, path: Sequence[str], level: Any, name: str) -> Any:
    if not is_dataclass(part) or isinstance(part, type) or path[0] not in {known.name for known in fields(part)}:
        raise ConfigError(f"factors has {name!r}, which is no setting of compare. See `fmrifm compare --help`.")
    if path[1:]:
        level = _changed(getattr(part, path[0]), path[1:], level, name)
    return replace(part, **{path[0]: level})


def masker_scores(cells: pd.DataFrame, predictions: pd.DataFrame, config: CompareConfig) -> pd.DataFrame:
    """Score every strategy over all its cells.

    Args:
        cells: Cells as rows: masker, seed, fold, factors, n_train, n_test and metrics.
        predictions: Held-out predictions with masker and factors.
        config: Settings of the trial.

    Returns:
        masker, factors, metric, value, ci_low, ci_high, n: over subjects for classification, over cells for R2.
    """
    rows = []
    for key, of_masker in _groups(cells, config):
        scores = classification_scores(
            by_subject(_matching(predictions, key)), config.bootstrap, np.random.default_rng(config.seed)
        )
        found = [(name, score.value, score.ci_low, score.ci_high, score.n) for name, score in scores.items()]
        for name in RECONSTRUCTION:
            values = of_masker[name].dropna().to_numpy(float)
            if len(values):
                mean = corrected_t(values, _test_share(of_masker))
                found.append((name, mean.mean, mean.low, mean.high, len(values)))
        rows += [{**key, "metric": name, "value": v, "ci_low": low, "ci_high": high, "n": n}
                 for name, v, low, high, n in found]  # fmt: skip
    return pd.DataFrame(rows)


def masker_differences(
    cells: pd.DataFrame, predictions: pd.DataFrame, folds: Sequence[Fold], config: CompareConfig
) -> pd.DataFrame:
    """Compare every strategy with the first, cell by cell.

    Args:
        cells: As for `masker_scores`.
        predictions: As for `masker_scores`.
        folds: The folds that both number.
        config: Settings of the trial.

    Returns:
        masker, reference, factors, metric, value, ci_low, ci_high and p (corrected resampled t-test over cells),
        boot_low, boot_high (paired bootstrap over subjects; classification only), n_folds, n (subjects), smallest.
    """
    reference = config.maskers[0]
    rows = []
    for key, of_masker in _groups(cells, config):
        if key["masker"] == reference:
            continue
        base = _matching(cells, {**key, "masker": reference})
        ours, theirs = (_matching(predictions, {**key, "masker": name}) for name in (key["masker"], reference))
        resampled = paired_differences(
            by_subject(ours), by_subject(theirs), folds, config.bootstrap, np.random.default_rng(config.seed)
        )
        pairs = of_masker.merge(base, on=["seed", "fold"], suffixes=("", "_reference"), validate="one_to_one")
        for metric in (*CLASSIFICATION, *RECONSTRUCTION):
            gap = (pairs[metric] - pairs[f"{metric}_reference"]).dropna().to_numpy(float)
            if not len(gap):
                continue
            test = corrected_t(gap, _test_share(base))
            boot = resampled.get(metric)
            rows.append({
                **key, "reference": reference, "metric": metric,
                "value": test.mean, "ci_low": test.low, "ci_high": test.high, "p": test.p,
                "boot_low": boot.ci_low if boot else None, "boot_high": boot.ci_high if boot else None,
                "n_folds": len(gap), "n": ours["subject"].nunique(), "smallest": test.smallest,
            })  # fmt: skip
    return pd.DataFrame(rows)


def _groups(cells: pd.DataFrame, config: CompareConfig) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """Cells of one strategy at one combination of levels, in the order in which they were asked for."""
    names = ["masker", *config.factors]
    keys = cells[names].drop_duplicates().to_dict("records")
    return [({str(name): value for name, value in key.items()}, _matching(cells, key)) for key in keys]


def _matching(table: pd.DataFrame, key: Mapping[Any, Any]) -> pd.DataFrame:
    chosen = np.logical_and.reduce([table[name] == value for name, value in key.items()])
    return table[chosen]


def _test_share(cells: pd.DataFrame) -> float:
    """Tested subjects for each learnt from."""
    return float((cells["n_test"] / cells["n_train"]).mean())
