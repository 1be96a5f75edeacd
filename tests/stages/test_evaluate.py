import json

import pandas as pd
import pytest

from fmrifm.config import EvaluateConfig
from fmrifm.errors import CheckpointError
from fmrifm.stages.evaluate import evaluate

METRICS = {"auc", "balanced_accuracy", "average_precision", "sensitivity", "specificity", "brier"}
BASELINES = {"majority", "site", "phenotype", "connectome"}


def test_a_run_leaves_the_files_that_others_read(evaluated_run):
    assert {file.name for file in evaluated_run.iterdir()} == {
        "config.yaml", "scans.tsv", "predictions.tsv", "baseline_predictions.tsv", "metrics.json", "provenance.json",
    }  # fmt: skip


def test_the_classifier_stands_beside_every_baseline(evaluated_run):
    metrics = json.loads((evaluated_run / "metrics.json").read_text())
    assert set(metrics) == {"scores", "baselines", "folds", "leakage"}
    assert set(metrics["baselines"]) == BASELINES
    for scores in (metrics["scores"], *metrics["baselines"].values()):
        assert set(scores) == METRICS
        assert all(set(score) == {"value", "ci_low", "ci_high", "n"} for score in scores.values())
        assert {score["n"] for score in scores.values()} == {11}
    assert metrics["baselines"]["majority"]["auc"]["value"] == 0.5
    assert metrics["baselines"]["connectome"]["auc"]["value"] == 1.0  # regions 10, 20 and 30 say it all


def test_baselines_predict_the_same_subjects_in_the_same_folds(evaluated_run):
    ours = pd.read_csv(evaluated_run / "predictions.tsv", sep="\t").set_index("scan").sort_index()
    theirs = pd.read_csv(evaluated_run / "baseline_predictions.tsv", sep="\t")
    assert set(theirs) == {"scan", "subject", "site", "label", "fold", "probability", "baseline"}
    assert set(theirs["baseline"]) == BASELINES
    for _, table in theirs.groupby("baseline"):
        table = table.set_index("scan").sort_index()
        for column in ("subject", "label", "fold"):
            assert table[column].equals(ours[column])


def test_a_finetuned_run_is_judged_on_its_own_predictions(evaluated_run, finetuned_run):
    assert (evaluated_run / "predictions.tsv").read_text() == (finetuned_run / "predictions.tsv").read_text()
    ours, theirs = (json.loads((run / "metrics.json").read_text()) for run in (evaluated_run, finetuned_run))
    assert ours["folds"] == theirs["folds"]
    assert ours["leakage"] == theirs["leakage"]


def test_on_a_pretrained_run_the_classifier_is_fitted_here(on_runs, finetuned_run):
    run = evaluate(EvaluateConfig(**on_runs("fitted"), folds=3, bootstrap=10))
    assert (run / "predictions.tsv").read_text() == (finetuned_run / "predictions.tsv").read_text()
    assert (run / "checkpoints" / "fold-2.safetensors").exists()


@pytest.mark.parametrize(("name", "asked"), [("splits", "site"), ("target", "sex")])
def test_another_split_or_target_than_was_finetuned_is_refused(on_runs, finetuned_run, tmp_path, name, asked):
    settings = {**on_runs("", finetuned_run), "out": str(tmp_path / "run"), name: asked}
    with pytest.raises(CheckpointError, match=f"was fine-tuned with {name} .*, not '{asked}'"):
        evaluate(EvaluateConfig(**settings))
    assert not (tmp_path / "run").exists()
