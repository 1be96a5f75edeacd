"""`fmrifm evaluate`: the honest table. The classifier beside its baselines, on the same folds.

Leaves predictions.tsv, baseline_predictions.tsv and metrics.json.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from fmrifm.atlas import grow_labels
from fmrifm.config import EvaluateConfig
from fmrifm.data.store import Store
from fmrifm.errors import CheckpointError
from fmrifm.evaluation.baselines import baseline_predictions, connectomes
from fmrifm.evaluation.leakage import leaks
from fmrifm.evaluation.metrics import Score, by_subject, classification_scores
from fmrifm.evaluation.splits import Fold, labelled_scans, make_folds
from fmrifm.stages.finetune import fit_and_predict
from fmrifm.stages.folder import RunFolder, run_folder
from fmrifm.stages.inputs import labelled, on_grid_of, same_grid
from fmrifm.training.checkpoint import Pretrained, load_pretrained


def evaluate(config: EvaluateConfig) -> Path:
    """Score the classifier and its baselines; return the run folder.

    Raises:
        CheckpointError: No model there, or a fine-tuned one with another split or target.
        DataError: The store or its labels do not serve.
    """
    store, pretrained = Store(config.store), load_pretrained(config.checkpoint)
    if _is_finetuned(config):
        same_grid(pretrained, store)
    else:
        pretrained = on_grid_of(store, pretrained)
    with run_folder("evaluate", config, store) as run:
        scans, folds, predictions = _classifier(config, store, pretrained, run)
        predictions.to_csv(run.path / "predictions.tsv", sep="\t", index=False)
        tables = _baselines(config, store, pretrained, scans, folds)
        rows = [table.assign(baseline=name) for name, table in tables.items()]
        pd.concat(rows).to_csv(run.path / "baseline_predictions.tsv", sep="\t", index=False)
        scores = _scores(config, predictions)
        leakage = leaks(
            pretraining=pretrained.subjects, folds=folds, scans=scans, auc=scores["auc"], synthetic=store.synthetic
        )
        baselines = {name: _scores(config, table) for name, table in tables.items()}
        run.write_metrics(scores, baselines=baselines, folds=folds, leakage=leakage)
    return run.path


def _is_finetuned(config: EvaluateConfig) -> bool:
    return (Path(config.checkpoint) / "predictions.tsv").is_file()


def _classifier(
    config: EvaluateConfig, store: Store, pretrained: Pretrained, run: RunFolder
) -> tuple[pd.DataFrame, list[Fold], pd.DataFrame]:
    """Held-out predictions: those of a fine-tuned run, or fitted here on a pretrained one."""
    finetuned = Path(config.checkpoint)
    if not _is_finetuned(config):
        scans = labelled(store, config.target, pretrained)
        folds = make_folds(scans, config)
        return scans, folds, fit_and_predict(config, store, pretrained, scans, folds, run)
    _same_trial(finetuned, config, store)
    predictions = pd.read_csv(finetuned / "predictions.tsv", sep="\t", dtype={"subject": str, "site": str})
    scans = labelled_scans(store.scans[store.scans["scan"].isin(predictions["scan"])], config.target)
    content = json.loads((finetuned / "metrics.json").read_text())
    folds = [Fold(train=tuple(fold["train"]), test=tuple(fold["test"])) for fold in content["folds"]]
    return scans.reset_index(drop=True), folds, predictions


def _same_trial(finetuned: Path, config: EvaluateConfig, store: Store) -> None:
    """Refuse to mix a fine-tuned run with another store, target or split."""
    done = yaml.safe_load((finetuned / "config.yaml").read_text())
    for name in ("target", "splits"):
        if done[name] != (asked := getattr(config, name)):
            raise CheckpointError(
                f"{finetuned}: was fine-tuned with {name} {done[name]!r}, not {asked!r}. Fine-tune again with "
                f"--{name} {asked}, or give `evaluate` the pretraining run."
            )
    fingerprint = json.loads((finetuned / "provenance.json").read_text())["store_fingerprint"]
    if fingerprint != store.fingerprint:
        raise CheckpointError(f"{finetuned}: was fine-tuned on another store than {store.path}. Give that one.")


def _baselines(
    config: EvaluateConfig, store: Store, pretrained: Pretrained, scans: pd.DataFrame, folds: list[Fold]
) -> dict[str, pd.DataFrame]:
    labels = grow_labels(store.atlas.labels, store.grid.voxels, store.grid.spacing_mm, pretrained.tokens.grow_mm)
    return baseline_predictions(scans, connectomes(store, scans["scan"], labels), folds, config.penalty)


def _scores(config: EvaluateConfig, predictions: pd.DataFrame) -> dict[str, Score]:
    # Every model gets the same resamples, so that intervals can be compared.
    return classification_scores(by_subject(predictions), config.bootstrap, np.random.default_rng(config.seed))
