"""`fmrifm evaluate`: the honest table. The classifier beside its baselines, on the same folds.

Leaves predictions.tsv, baseline_predictions.tsv, sites.tsv, calibration.tsv and metrics.json, which holds the paired
differences to each baseline too.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import yaml
from rich.console import Console

from fmrifm.config import EvaluateConfig, FinetuneConfig
from fmrifm.data.store import Store
from fmrifm.errors import CheckpointError, ConfigError
from fmrifm.evaluation.calibration import calibration_table
from fmrifm.evaluation.contestants import baseline_predictions, network_features, network_predictions
from fmrifm.evaluation.leakage import leaks
from fmrifm.evaluation.metrics import Score, bootstrap, by_subject, classification_scores, metric_statistics
from fmrifm.evaluation.paired import paired_differences
from fmrifm.evaluation.permutation import permutation_p
from fmrifm.evaluation.sites import site_score, site_table
from fmrifm.evaluation.splits import Fold, FoldFeatures
from fmrifm.stages.folder import RunFolder, run_folder
from fmrifm.stages.inputs import labelled, on_grid_of, same_grid, tested_folds
from fmrifm.training.checkpoint import Pretrained, load_pretrained

_BINS = 10
"""Quantile bins of the calibration curve."""
_NOT_THE_CLASSIFIER = ("store", "checkpoint", "out", "trainer", "target", "splits")
"""Settings that a fine-tuned run does not decide here; the last two must agree."""


def evaluate(config: EvaluateConfig) -> Path:
    """Score the classifier and its baselines; return the run folder.

    Raises:
        CheckpointError: No model there, or a fine-tuned one with another split or target.
        DataError: The store or its labels do not serve.
        ConfigError: A fine-tuned classifier is to be harmonised.
    """
    store, pretrained = Store(config.store), load_pretrained(config.checkpoint)
    if _is_finetuned(config):
        same_grid(pretrained, store)
        config = _as_finetuned(config, store)
    else:
        pretrained = on_grid_of(store, pretrained)
    with run_folder("evaluate", config, store) as run:
        L.seed_everything(config.seed, verbose=False)
        scans, folds, features, predictions = _classifier(config, store, pretrained, run)
        predictions.to_csv(run.path / "predictions.tsv", sep="\t", index=False)
        tables, more_features = baseline_predictions(pretrained, store, scans, folds, config, run.path / "logs")
        rows = [table.assign(baseline=name) for name, table in tables.items()]
        pd.concat(rows).to_csv(run.path / "baseline_predictions.tsv", sep="\t", index=False)
        subjects = {name: by_subject(table) for name, table in {"classifier": predictions, **tables}.items()}
        scores = {name: _scores(config, table) for name, table in subjects.items()}
        for name, of_fold in {"classifier": features, **more_features}.items():
            scores[name] |= _of_features(config, of_fold, scans, folds, scores[name], tested=name == "classifier")
        _write_tables(config, subjects, run)
        ours = scores.pop("classifier")
        leakage = leaks(
            pretraining=pretrained.subjects,
            folds=folds,
            scans=scans,
            auc=ours["auc"],
            synthetic=store.synthetic,
            baselines=scores,
            cohort=store.scans,
        )
        differences = _differences(config, subjects, folds)
        run.write_metrics(ours, baselines=scores, folds=folds, leakage=leakage, differences=differences)
    return run.path


def _is_finetuned(config: EvaluateConfig) -> bool:
    return (Path(config.checkpoint) / "predictions.tsv").is_file()


def _as_finetuned(config: EvaluateConfig, store: Store) -> EvaluateConfig:
    """Take over how the classifier was fitted, so that baselines are fitted alike; refuse another trial."""
    finetuned = Path(config.checkpoint)
    done: Mapping[str, Any] = yaml.safe_load((finetuned / "config.yaml").read_text())
    for name in ("target", "splits"):
        if done[name] != (asked := getattr(config, name)):
            raise CheckpointError(
                f"{finetuned}: was fine-tuned with {name} {done[name]!r}, not {asked!r}. Fine-tune again with "
                f"--{name} {asked}, or give `evaluate` the pretraining run."
            )
    fingerprint = json.loads((finetuned / "provenance.json").read_text())["store_fingerprint"]
    if fingerprint != store.fingerprint:
        raise CheckpointError(f"{finetuned}: was fine-tuned on another store than {store.path}. Give that one.")
    if config.harmonise != "none":
        raise ConfigError(
            f"harmonise is {config.harmonise}, but {finetuned} was fitted without. Give `evaluate` the pretraining run."
        )
    taken = {part.name for part in fields(FinetuneConfig)} - set(_NOT_THE_CLASSIFIER)
    settings: dict[str, Any] = {n: tuple(done[n]) if isinstance(done[n], list) else done[n] for n in taken}
    return replace(config, **settings)


def _classifier(
    config: EvaluateConfig, store: Store, pretrained: Pretrained, run: RunFolder
) -> tuple[pd.DataFrame, list[Fold], FoldFeatures | None, pd.DataFrame]:
    """Scans, folds, features of the encoder, and held-out predictions: of a fine-tuned run, or fitted here."""
    if not _is_finetuned(config):
        scans = labelled(store, config.target, pretrained)
        folds = tested_folds(config, scans, store, pretrained)
        features = network_features(pretrained, store, scans, config)
        logs = run.path / "logs"
        return scans, folds, features, network_predictions(pretrained, features, store, scans, folds, config, logs)
    finetuned = Path(config.checkpoint)
    predictions = pd.read_csv(finetuned / "predictions.tsv", sep="\t", dtype={"subject": str, "site": str})
    content = json.loads((finetuned / "metrics.json").read_text())
    folds = [
        Fold(train=tuple(fold["train"]), test=tuple(fold["test"]), repeat=fold["repeat"]) for fold in content["folds"]
    ]
    used = {subject for fold in folds for subject in (*fold.train, *fold.test)}
    scans = labelled(store, config.target, pretrained)
    scans = scans[scans["subject"].isin(used)].reset_index(drop=True)
    return scans, folds, network_features(pretrained, store, scans, config), predictions


def _scores(config: EvaluateConfig, subjects: pd.DataFrame) -> dict[str, Score]:
    # Every model gets the same resamples, so that intervals can be compared.
    return classification_scores(subjects, config.bootstrap, np.random.default_rng(config.seed))


def _auc(config: EvaluateConfig, subjects: pd.DataFrame) -> Score:
    statistic, n = metric_statistics(subjects)["auc"], subjects["subject"].nunique()
    return bootstrap(statistic, n, config.bootstrap, np.random.default_rng(config.seed))


def _of_features(
    config: EvaluateConfig,
    features: FoldFeatures | None,
    scans: pd.DataFrame,
    folds: list[Fold],
    scores: Mapping[str, Score],
    *,
    tested: bool,
) -> dict[str, Score]:
    """How well features tell the site, and for the classifier how often shuffled labels reach its AUC."""
    if features is None:
        return {}
    found = {}
    if (site := site_score(features, scans, folds, config.bootstrap, np.random.default_rng(config.seed))) is not None:
        found["site_predictability"] = site
    if tested and config.permutations and len(config.penalty) == 1:
        Console(stderr=True, highlight=False).print(f"{config.permutations} shuffles of the labels within sites ...")
        rng = np.random.default_rng([config.seed, 1])
        _, p = permutation_p(features, scans, folds, config.penalty[0], config.permutations, rng)
        found["auc"] = replace(scores["auc"], p=p)
    return found


def _write_tables(config: EvaluateConfig, subjects: Mapping[str, pd.DataFrame], run: RunFolder) -> None:
    site_table(subjects["classifier"], partial(_auc, config)).to_csv(run.path / "sites.tsv", sep="\t", index=False)
    two_classes = {name: table for name, table in subjects.items() if "probability" in table}
    if two_classes:
        curves = [calibration_table(table, _BINS).assign(model=name) for name, table in two_classes.items()]
        columns = ["model", *curves[0].columns.drop("model")]
        pd.concat(curves)[columns].to_csv(run.path / "calibration.tsv", sep="\t", index=False)


def _differences(
    config: EvaluateConfig, subjects: Mapping[str, pd.DataFrame], folds: list[Fold]
) -> dict[str, dict[str, Any]]:
    """The classifier minus each baseline, on the same folds and resamples."""
    found = {}
    for name, table in subjects.items():
        if name != "classifier":
            rng = np.random.default_rng(config.seed)
            pairs = paired_differences(subjects["classifier"], table, folds, config.bootstrap, rng)
            found[name] = {metric: pair.to_json() for metric, pair in pairs.items()}
    return found
