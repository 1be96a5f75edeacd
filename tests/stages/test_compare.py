import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fmrifm.config import CompareConfig, DataConfig, ModelConfig, OptimConfig, TokensConfig
from fmrifm.data.store import Store
from fmrifm.errors import ConfigError
from fmrifm.evaluation.metrics import by_subject, classification_scores
from fmrifm.evaluation.twins import seen_before
from fmrifm.stages.compare import compare

R2 = ["r2_voxel_random", "r2_region_random", "r2_voxel_region", "r2_region_region"]


@pytest.fixture(scope="module")
def settings(store_path):
    """Make settings of a trial that takes seconds; further ones by name."""

    def made(out: Path, **changes) -> CompareConfig:
        tiny = {
            "maskers": ("random", "region"),
            "folds": 2,
            "repeats": 2,
            "steps": 3,
            "tokens": TokensConfig(window_volumes=8, patch_volumes=4, edge_voxels=3),
            "model": ModelConfig(width=24, layers=1, heads=2, queries=16, components=0),
            "optim": OptimConfig(batch_size=4),
            "data": DataConfig(windows_per_scan=1),
            "bootstrap": 20,
            "trainer": {"accelerator": "cpu"},
        }
        return CompareConfig(store=str(store_path), out=str(out), **tiny | changes)

    return made


@pytest.fixture(scope="module")
def trial(settings, runs) -> Path:
    return compare(settings(runs / "trial"))


def table(run: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(run / f"{name}.tsv", sep="\t", dtype={"subject": str})


def test_a_run_leaves_the_files_that_others_read(trial):
    assert {file.name for file in trial.iterdir()} == {
        "cells", "cells.tsv", "maskers.tsv", "differences.tsv", "predictions.tsv", "config.yaml", "scans.tsv",
        "metrics.json", "provenance.json",
    }  # fmt: skip
    assert list(table(trial, "cells")) == [
        "masker", "seed", "fold", "n_train", "n_test", "updates", "hidden_share", *R2, "auc", "balanced_accuracy",
        "seconds",
    ]  # fmt: skip
    assert list(table(trial, "maskers")) == ["masker", "metric", "value", "ci_low", "ci_high", "n"]
    assert list(table(trial, "differences")) == [
        "masker", "reference", "metric", "value", "ci_low", "ci_high", "p", "boot_low", "boot_high", "n_folds", "n",
        "smallest",
    ]  # fmt: skip
    metrics = json.loads((trial / "metrics.json").read_text())
    assert {"auc_random", "auc_region", "r2_voxel_region_random"} <= set(metrics["scores"])
    assert set(metrics["baselines"]) == {"untrained", "connectome"}


def test_every_strategy_has_the_same_share_hidden_updates_and_folds(trial):
    cells = table(trial, "cells")
    trained = cells[cells["masker"].isin(["random", "region"])]
    assert trained["updates"].eq(3).all()
    assert trained["hidden_share"].between(0.7, 0.8).all()
    assert cells.groupby(["seed", "fold"])["masker"].agg(set).map(
        {"random", "region", "untrained", "connectome"}.__eq__
    ).all()  # fmt: skip
    assert sorted(cells["fold"].unique()) == [0, 1, 2, 3]
    assert cells.loc[cells["masker"] == "untrained", "updates"].eq(0).all()


def test_every_subject_is_tested_once_a_seed_by_every_strategy(trial):
    predictions = table(trial, "predictions")
    for _, part in predictions.groupby(["masker", "seed"]):
        assert sorted(part["subject"].unique()) == [f"s{number:02d}" for number in range(11)]
        assert not part["scan"].duplicated().any()


def test_tables_sum_up_what_the_cells_say(trial):
    cells, scores, differences = (table(trial, name) for name in ("cells", "maskers", "differences"))
    of = {masker: part.set_index(["seed", "fold"]) for masker, part in cells.groupby("masker")}
    found = differences.set_index(["masker", "metric"])
    for metric in ("auc", *R2):
        gap = (of["region"][metric] - of["random"][metric]).mean()
        assert found.loc[("region", metric), "value"] == pytest.approx(gap)
    assert found.loc[("region", "auc"), "n_folds"] == 4
    assert found.loc[("region", "auc"), "n"] == 11
    assert found["reference"].eq("random").all()
    assert ("connectome", "r2_voxel_random") not in found.index
    assert found.loc[("region", "r2_voxel_random"), ["boot_low", "boot_high"]].isna().all()
    values = scores.set_index(["masker", "metric"])["value"]
    assert values["region", "r2_voxel_random"] == pytest.approx(of["region"]["r2_voxel_random"].mean())
    ours = table(trial, "predictions").query("masker == 'region'")
    expected = classification_scores(by_subject(ours), 5, np.random.default_rng(0))
    assert values["region", "auc"] == pytest.approx(expected["auc"].value)


def test_an_interrupted_trial_goes_on_and_ends_as_one_left_alone(settings, trial, tmp_path):
    config = settings(tmp_path / "run")
    for name in ("cells.tsv", "maskers.tsv", "differences.tsv"):
        assert not (tmp_path / "run" / name).exists()
    first = compare(settings(tmp_path / "run", shard="1/3"))
    files = {file: file.stat().st_mtime_ns for file in (first / "cells").iterdir()}
    assert len(files) == 4
    assert not (first / "cells.tsv").exists()
    assert not (first / "provenance.json").exists()
    run = compare(config)
    assert all(file.stat().st_mtime_ns == time for file, time in files.items())
    drop = ["seconds"]
    assert table(run, "cells").drop(columns=drop).equals(table(trial, "cells").drop(columns=drop))
    for name in ("maskers", "differences", "predictions"):
        assert table(run, name).equals(table(trial, name))


def test_two_processes_give_what_one_gives(settings, trial, tmp_path):
    ours, theirs = (table(run, "predictions") for run in (compare(settings(tmp_path / "run", jobs=2)), trial))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=False)  # but for rounding


def test_a_finished_trial_does_nothing_again(settings, trial):
    before = {file: file.stat().st_mtime_ns for file in (trial / "cells").iterdir()}
    compare(settings(trial))
    assert {file: file.stat().st_mtime_ns for file in (trial / "cells").iterdir()} == before


def test_a_trial_does_not_go_on_as_another(settings, trial):
    with pytest.raises(ConfigError, match=r"the run was begun with steps 3, not 4\. Go on with the same settings"):
        compare(settings(trial, steps=4))


def test_factors_are_crossed_and_compared_within_their_levels(settings, tmp_path):
    factors = {"masking.ratio": [0.5, 0.75], "tokens.edge_voxels": [2, 3]}
    run = compare(settings(tmp_path / "run", repeats=1, steps=1, factors=factors))
    cells, differences = table(run, "cells"), table(run, "differences")
    levels = list(factors)
    assert len(cells.drop_duplicates(["masker", *levels])) == 16
    shares = cells.dropna(subset="hidden_share").groupby("masking.ratio")["hidden_share"].mean()
    assert shares.to_numpy() == pytest.approx([0.5, 0.75], abs=0.03)
    assert len(differences[differences["metric"] == "auc"].drop_duplicates(["masker", *levels])) == 12
    metrics = json.loads((run / "metrics.json").read_text())
    assert "auc_region_0.5_3" in metrics["scores"]


def test_a_factor_of_the_read_out_changes_the_predictions_and_nothing_else(settings, tmp_path):
    run = compare(settings(tmp_path / "run", repeats=1, steps=1, factors={"pooling": ["connectivity", "mean"]}))
    cells, predictions = table(run, "cells"), table(run, "predictions")
    network = cells[cells["masker"] != "connectome"]
    assert network.groupby(["masker", "fold"])["r2_voxel_random"].nunique().eq(1).all()
    by_pooling = predictions[predictions["masker"] == "random"].pivot_table(
        index="scan", columns="pooling", values="probability"
    )
    assert not np.allclose(by_pooling["connectivity"], by_pooling["mean"])


@pytest.mark.parametrize("name", ["masking.depth", "nothing", "tokens.edge_voxels.more"])
def test_a_factor_that_is_no_setting_is_refused_by_name(settings, tmp_path, name):
    with pytest.raises(ConfigError, match=f"factors has '{name}', which is no setting of compare"):
        compare(settings(tmp_path / "run", factors={name: [1]}))
    assert not (tmp_path / "run").exists()


def test_the_tested_are_not_pretrained_on_and_others_without_a_label_are(settings, store_path):
    scans = Store(str(store_path)).scans
    assert list(seen_before(scans, ["s03"])) == ["s03"]
    twin = scans.assign(sha256=[f"{number // 2:064x}" for number in range(len(scans))])
    group = seen_before(twin, [twin["subject"].iloc[4]])
    assert set(group) >= {twin["subject"].iloc[4], twin["subject"].iloc[5]}
