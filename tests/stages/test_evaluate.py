import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import zarr
from sklearn.metrics import roc_auc_score

from fmrifm.config import Baseline, EvaluateConfig, FinetuneConfig
from fmrifm.errors import CheckpointError, ConfigError, DataError
from fmrifm.stages.evaluate import evaluate
from fmrifm.stages.finetune import finetune

METRICS = {"auc", "balanced_accuracy", "average_precision", "sensitivity", "specificity", "brier"}
WITH_FEATURES = {"connectome", "connectome_partial", "connectome_tangent", "untrained"}
BASELINES = set(get_args(Baseline)) - {"motion"}
"""The scan table of the store knows nothing of motion."""
QUICK = {"bootstrap": 10, "permutations": 0, "baselines": ("majority", "site")}


def metrics_of(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text())


def test_a_run_leaves_the_files_that_others_read(evaluated_run):
    assert {file.name for file in evaluated_run.iterdir() if file.is_file()} == {
        "config.yaml", "scans.tsv", "predictions.tsv", "baseline_predictions.tsv", "metrics.json", "provenance.json",
        "sites.tsv", "calibration.tsv",
    }  # fmt: skip
    assert not list(evaluated_run.rglob("*.ckpt"))


def test_the_classifier_stands_beside_every_baseline(evaluated_run):
    metrics = metrics_of(evaluated_run)
    assert set(metrics) == {"scores", "baselines", "folds", "leakage", "differences"}
    assert set(metrics["baselines"]) == BASELINES
    for name, scores in {"": metrics["scores"], **metrics["baselines"]}.items():
        assert set(scores) - {"site_predictability"} == METRICS
        assert ("site_predictability" in scores) == (name in WITH_FEATURES | {""})
        assert {score["n"] for score in scores.values()} == {11}
    assert metrics["baselines"]["majority"]["auc"]["value"] == 0.5
    assert metrics["baselines"]["connectome"]["auc"]["value"] == 1.0  # regions 10, 20 and 30 say it all
    assert metrics["scores"]["auc"]["p"] * 10 == pytest.approx(round(metrics["scores"]["auc"]["p"] * 10))


def test_each_difference_is_ours_minus_theirs_with_two_intervals(evaluated_run):
    metrics = metrics_of(evaluated_run)
    assert set(metrics["differences"]) == BASELINES
    for name, of_baseline in metrics["differences"].items():
        assert set(of_baseline) == METRICS
        for metric, difference in of_baseline.items():
            assert set(difference) == {
                "value", "ci_low", "ci_high", "n", "fold_mean", "t_low", "t_high", "p", "smallest",
            }  # fmt: skip
            gap = metrics["scores"][metric]["value"] - metrics["baselines"][name][metric]["value"]
            assert difference["value"] == pytest.approx(gap)


def test_baselines_predict_the_same_subjects_in_the_same_folds(evaluated_run):
    ours = pd.read_csv(evaluated_run / "predictions.tsv", sep="\t").set_index("scan").sort_index()
    theirs = pd.read_csv(evaluated_run / "baseline_predictions.tsv", sep="\t")
    assert set(theirs) == {
        "scan", "subject", "site", "label", "fold", "repeat", "threshold", "probability", "baseline",
    }  # fmt: skip
    assert set(theirs["baseline"]) == BASELINES
    for _, table in theirs.groupby("baseline"):
        table = table.set_index("scan").sort_index()
        for column in ("subject", "label", "fold", "repeat"):
            assert table[column].equals(ours[column])


def test_sites_and_calibration_are_those_of_the_predictions(evaluated_run):
    predictions = pd.read_csv(evaluated_run / "predictions.tsv", sep="\t")
    sites = pd.read_csv(evaluated_run / "sites.tsv", sep="\t").set_index("site")
    subjects = predictions.drop_duplicates("subject")
    assert sites["n"].to_dict() == subjects["site"].value_counts().to_dict()
    assert sites["cases"].to_dict() == subjects.groupby("site")["label"].sum().to_dict()
    curves = pd.read_csv(evaluated_run / "calibration.tsv", sep="\t")
    assert set(curves["model"]) == {"classifier", *BASELINES}
    assert curves.groupby("model")["n"].sum().eq(11).all()


def test_a_finetuned_run_is_judged_on_its_own_predictions(evaluated_run, finetuned_run):
    assert (evaluated_run / "predictions.tsv").read_text() == (finetuned_run / "predictions.tsv").read_text()
    ours, theirs = map(metrics_of, (evaluated_run, finetuned_run))
    assert ours["folds"] == theirs["folds"]
    assert ours["leakage"][: len(theirs["leakage"])] == theirs["leakage"]


def test_on_a_pretrained_run_the_classifier_is_fitted_here(on_runs, finetuned_run):
    run = evaluate(EvaluateConfig(**on_runs("fitted"), folds=3, **QUICK))
    ours, theirs = (pd.read_csv(path / "predictions.tsv", sep="\t") for path in (run, finetuned_run))
    assert ours["probability"].to_numpy() == pytest.approx(theirs["probability"].to_numpy(), abs=1e-4)
    assert ours.drop(columns="probability").equals(theirs.drop(columns="probability"))


def test_a_finetuned_run_says_how_its_baselines_are_fitted(on_runs, tmp_path):
    settings = {"folds": 2, "inner_folds": 2, "pooling": "mean", "penalty": (0.1, 3.0), "threshold": "inner"}
    finetuned = finetune(FinetuneConfig(**on_runs("meaned"), **settings))
    asked = EvaluateConfig(**on_runs("", finetuned), **QUICK | {"baselines": ("untrained",)})
    run = evaluate(replace(asked, out=str(tmp_path / "run")))
    table = pd.read_csv(run / "baseline_predictions.tsv", sep="\t")
    assert table["threshold"].nunique() == 2
    assert set(metrics_of(run)["baselines"]["untrained"]) == METRICS | {"site_predictability"}


@pytest.mark.parametrize(("name", "asked"), [("splits", "site"), ("target", "sex")])
def test_another_split_or_target_than_was_finetuned_is_refused(on_runs, finetuned_run, tmp_path, name, asked):
    settings = {**on_runs("", finetuned_run), "out": str(tmp_path / "run"), name: asked}
    with pytest.raises(CheckpointError, match=f"was fine-tuned with {name} .*, not '{asked}'"):
        evaluate(EvaluateConfig(**settings))
    assert not (tmp_path / "run").exists()


def test_a_finetuned_classifier_cannot_be_harmonised_afterwards(on_runs, finetuned_run, tmp_path):
    settings = {**on_runs("", finetuned_run), "out": str(tmp_path / "run"), "harmonise": "combat"}
    with pytest.raises(ConfigError, match=r"harmonise is combat, but .*finetune was fitted without\. Give `evaluate`"):
        evaluate(EvaluateConfig(**settings))


def test_sites_can_be_taken_out_of_the_features(on_runs, tmp_path):
    places = on_runs("")
    subjects = pd.factorize(pd.DataFrame(zarr.open_group(places["store"], mode="r").attrs["scans"])["subject"])[0]
    site = ["large" if number < 8 else "small" for number in subjects]  # one of them has a line of its own
    settings = {**places, "store": changed_store(places["store"], tmp_path / "sites.zarr", site=site), **QUICK}
    settings |= {"folds": 3, "baselines": ("connectome",)}
    plain, without = (
        evaluate(EvaluateConfig(**{**settings, "out": str(tmp_path / kind)}, harmonise=kind))
        for kind in ("none", "site_zscore")
    )
    for table in ("predictions.tsv", "baseline_predictions.tsv"):
        first, second = (pd.read_csv(run / table, sep="\t") for run in (plain, without))
        assert not np.allclose(first["probability"], second["probability"])


def test_each_round_tests_everyone_and_narrows_no_interval_by_itself(on_runs, tmp_path):
    settings = {**on_runs(""), "out": str(tmp_path / "run"), "folds": 2, "repeats": 3, **QUICK}
    run = evaluate(EvaluateConfig(**settings))
    metrics = metrics_of(run)
    assert [fold["repeat"] for fold in metrics["folds"]] == [0, 0, 1, 1, 2, 2]
    assert pd.read_csv(run / "predictions.tsv", sep="\t").groupby("repeat")["subject"].nunique().eq(11).all()
    assert metrics["scores"]["auc"]["n"] == 11


def test_subjects_that_were_pretrained_on_are_not_tested_where_that_is_asked(on_runs, tmp_path):
    settings = {**on_runs(""), "out": str(tmp_path / "run"), "folds": 2, **QUICK, "seen": "exclude"}
    with pytest.raises(DataError, match="All subjects that the folds test were pretrained on"):
        evaluate(EvaluateConfig(**settings))


def changed_store(store: str, path: Path, **columns: list) -> str:
    """A copy of a store whose scan table has other values."""
    import shutil

    shutil.copytree(store, path)
    group = zarr.open_group(path, mode="r+")
    table = dict(group.attrs["scans"])
    group.attrs["scans"] = {**table, **columns}
    return str(path)


def test_planted_leaks_are_flagged_each_by_its_name(on_runs, tmp_path):
    places = on_runs("")
    table = pd.DataFrame(zarr.open_group(places["store"], mode="r").attrs["scans"])
    labels = table["dx"].tolist()
    leaky = {
        "site": ["clinic" if label == 1 else "school" for label in labels],
        "sha256": [f"{min(number, 10):064x}" for number in range(len(table))],
    }
    store = changed_store(places["store"], tmp_path / "leaky.zarr", **leaky)
    settings = {**places, "store": store, "out": str(tmp_path / "run"), "folds": 2, **QUICK}
    told = " ".join(metrics_of(evaluate(EvaluateConfig(**settings)))["leakage"])
    assert "test subjects were in the pretraining set" in told
    assert "Site alone predicts the label with AUC 1.00" in told
    assert "Subjects who appear under more than one identifier, by their signal:" in told


def test_more_than_two_classes_are_evaluated(on_runs, tmp_path):
    places = on_runs("")
    table = pd.DataFrame(zarr.open_group(places["store"], mode="r").attrs["scans"])
    kind = [float(number % 3) for number in pd.factorize(table["subject"])[0]]
    store = changed_store(places["store"], tmp_path / "three.zarr", kind=kind)
    settings = {**places, "store": store, "out": str(tmp_path / "run"), "folds": 2, "inner_folds": 2, "epochs": 1}
    run = evaluate(EvaluateConfig(**settings, target="kind", bootstrap=10, permutations=3))
    metrics = metrics_of(run)
    assert set(metrics["scores"]) == {"auc", "balanced_accuracy", "average_precision", "brier", "site_predictability"}
    predictions = pd.read_csv(run / "predictions.tsv", sep="\t")
    columns = [f"probability_{label}" for label in range(3)]
    assert predictions[columns].sum(axis=1).to_numpy() == pytest.approx(1)
    assert not (run / "calibration.tsv").exists()
    one_fold = predictions[predictions["fold"] == 0].drop_duplicates("subject")
    assert 0 <= roc_auc_score(one_fold["label"], one_fold[columns], multi_class="ovr") <= 1
