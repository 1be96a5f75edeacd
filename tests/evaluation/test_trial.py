from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fmrifm.config import CompareConfig
from fmrifm.errors import ConfigError
from fmrifm.evaluation.paired import corrected_t
from fmrifm.evaluation.splits import Fold
from fmrifm.evaluation.trial import (
    RECONSTRUCTION,
    UNTRAINED,
    masker_differences,
    masker_scores,
    trial_cells,
    with_levels,
)

CONFIG = CompareConfig(store="", out="", maskers=("random", "region"), bootstrap=200)
SUBJECTS = tuple(f"s{number:02d}" for number in range(20))
FOLDS = [
    Fold(train=tuple(sorted(set(SUBJECTS) - set(SUBJECTS[part::4]))), test=SUBJECTS[part::4], repeat=seed)
    for seed in range(2)
    for part in range(4)
]


def made_cells(gain: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cells in which `region` reconstructs better by `gain` in every fold, and predictions in which it errs less."""
    rng = np.random.default_rng(0)
    rows, tables = [], []
    for number, fold in enumerate(FOLDS):
        common = rng.normal(0.3, 0.1)
        for masker in ("random", "region"):
            better = gain * (masker == "region")
            label = np.array([int(name[1:]) // 4 % 2 for name in fold.test])
            probability = np.clip(0.5 + (0.1 + better) * (label - 0.5) + rng.normal(0, 0.2, len(label)), 0, 1)
            key = {"masker": masker, "seed": fold.repeat, "fold": number}
            figures = dict.fromkeys(RECONSTRUCTION, common + better)
            rows.append({**key, "n_train": 15, "n_test": 5, **figures, "auc": 0.5 + better, "balanced_accuracy": 0.5})
            tables.append(
                pd.DataFrame({"subject": fold.test, "site": "a", "label": label, "probability": probability}).assign(
                    **key, repeat=fold.repeat, threshold=0.5
                )
            )
    return pd.DataFrame(rows), pd.concat(tables, ignore_index=True)


def test_cells_are_whole_comparisons_one_after_the_other() -> None:
    config = replace(CONFIG, factors={"masking.ratio": [0.5, 0.75], "steps": [1, 2]})
    cells = trial_cells(config, FOLDS)
    assert len(cells) == 8 * 4 * 3
    assert [cell.number for cell in cells] == list(range(96))
    assert len({cell.name for cell in cells}) == 96
    first = cells[:3]
    assert [cell.masker for cell in first] == ["random", "region", UNTRAINED]
    assert len({(cell.seed, cell.fold, str(cell.levels)) for cell in first}) == 1
    assert [(cell.seed, cell.fold) for cell in cells[::12]] == [(f.repeat, n) for n, f in enumerate(FOLDS)]


def test_levels_change_settings_by_dotted_name_and_nothing_else() -> None:
    changed = with_levels(CONFIG, {"masking.ratio": 0.5, "steps": 7})
    assert (changed.masking.ratio, changed.steps) == (0.5, 7)
    assert replace(changed, masking=CONFIG.masking, steps=CONFIG.steps) == CONFIG
    with pytest.raises(ConfigError, match=r"masking.ratio is 2; expected a share"):
        with_levels(CONFIG, {"masking.ratio": 2})


def test_a_difference_that_is_the_same_in_every_fold_is_found_whatever_folds_share() -> None:
    cells, predictions = made_cells(0.2)
    found = masker_differences(cells, predictions, FOLDS, CONFIG).set_index("metric")
    for name in RECONSTRUCTION:
        assert found.loc[name, "value"] == pytest.approx(0.2)
        assert found.loc[name, ["ci_low", "ci_high"]].to_numpy(float) == pytest.approx([0.2, 0.2])


def test_differences_carry_the_corrected_test_of_the_cells() -> None:
    cells, predictions = made_cells(0.1)
    cells.loc[cells["masker"] == "region", "auc"] += np.linspace(-0.2, 0.2, 8)
    row = masker_differences(cells, predictions, FOLDS, CONFIG).set_index("metric").loc["auc"]
    expected = corrected_t(0.1 + np.linspace(-0.2, 0.2, 8), 5 / 15)
    assert row[["value", "ci_low", "ci_high", "p", "smallest"]].to_numpy(float) == pytest.approx(
        [expected.mean, expected.low, expected.high, expected.p, expected.smallest]
    )
    assert row["boot_low"] < row["boot_high"]
    assert (row["n_folds"], row["n"]) == (8, 20)


def test_scores_count_subjects_for_classification_and_cells_for_reconstruction() -> None:
    scores = masker_scores(*made_cells(0.2), CONFIG).set_index(["masker", "metric"])
    assert scores.loc[("region", "auc"), "n"] == 20
    assert scores.loc[("region", "r2_voxel_random"), "n"] == 8
    assert scores.loc[("region", "auc"), "value"] > scores.loc[("random", "auc"), "value"]
    assert (scores["ci_low"] <= scores["value"]).all()
