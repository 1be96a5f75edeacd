"""`fmrifm finetune`: a cross-validated classifier on a pretrained encoder.

Leaves checkpoints/pretrained and fold-K (safetensors), predictions.tsv and metrics.json.
"""

from pathlib import Path

import lightning as L
import numpy as np
import pandas as pd

from fmrifm.config import FinetuneConfig
from fmrifm.data.store import Store
from fmrifm.evaluation.crossval import fit_folds
from fmrifm.evaluation.leakage import leaks
from fmrifm.evaluation.metrics import by_subject, classification_scores
from fmrifm.evaluation.splits import Fold
from fmrifm.stages.folder import RunFolder, run_folder
from fmrifm.stages.inputs import labelled, on_grid_of, tested_folds
from fmrifm.training.checkpoint import Pretrained, load_pretrained, save_pretrained
from fmrifm.training.classifiers import save_fold

_RESAMPLES = 1000


def finetune(config: FinetuneConfig) -> Path:
    """Fit and predict every fold; return the run folder.

    Raises:
        DataError: The store's labels do not serve.
        CheckpointError: No pretrained model there.
    """
    store = Store(config.store)
    pretrained = on_grid_of(store, load_pretrained(config.checkpoint))
    with run_folder("finetune", config, store) as run:
        scans = labelled(store, config.target, pretrained)
        folds = tested_folds(config, scans, store, pretrained)
        predictions = fit_and_predict(config, store, pretrained, scans, folds, run)
        predictions.to_csv(run.path / "predictions.tsv", sep="\t", index=False)
        rng = np.random.default_rng(config.seed)
        scores = classification_scores(by_subject(predictions), _RESAMPLES, rng)
        leakage = leaks(
            pretraining=pretrained.subjects,
            folds=folds,
            scans=scans,
            auc=scores["auc"],
            synthetic=store.synthetic,
            cohort=store.scans,
        )
        run.write_metrics(scores, folds=folds, leakage=leakage)
    return run.path


def fit_and_predict(
    config: FinetuneConfig, store: Store, pretrained: Pretrained, scans: pd.DataFrame, folds: list[Fold], run: RunFolder
) -> pd.DataFrame:
    """Fit a classifier a fold, save each, and return the held-out predictions, one row a scan."""
    L.seed_everything(config.seed, verbose=False)
    save_pretrained(run.checkpoints / "pretrained", pretrained)
    tables = []
    for fold, predictions in fit_folds(pretrained, store, scans, folds, config, run.path / "logs"):
        save_fold(run.checkpoints, fold, config)
        tables.append(predictions)
    return pd.concat(tables, ignore_index=True)
