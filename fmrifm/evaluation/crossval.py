"""Cross-validated classification: fit on the training subjects of a fold, predict the others.

Axes: S scans, D features.
"""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from fmrifm.config import FinetuneConfig, OptimConfig
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.probe import fit_head, scan_features, scan_windows
from fmrifm.evaluation.splits import Fold
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained
from fmrifm.training.classifiers import FittedFold
from fmrifm.training.finetune import FinetuneModule, LabelledScans
from fmrifm.training.trainer import make_trainer

_SCANS_A_STEP = 4


def fit_folds(
    pretrained: Pretrained, store: Store, scans: pd.DataFrame, folds: list[Fold], config: FinetuneConfig, logs: Path
) -> Iterator[FittedFold]:
    """Fit one classifier a fold.

    Args:
        pretrained: Encoder to start from.
        store: Where the scans are.
        scans: Labelled scans.
        folds: Who is learnt from and who is not.
        config: Encoder, pooling, penalty and optimiser settings.
        logs: Folder for the Trainer's logs where the encoder is trained too.
    """
    windows = Windows(store, scans["scan"].tolist(), pretrained.tokens.window_volumes)
    start = ScanClassifier(pretrained.model, config.pooling)
    # The features are the same in every fold: the encoder has not seen a label yet.
    features = scan_features(start, windows, range(len(scans)))
    label = scans["label"].to_numpy(np.int64)
    for number, fold in enumerate(folds):
        train = np.flatnonzero(scans["subject"].isin(fold.train))
        classifier = copy.deepcopy(start)
        classifier.set_head(*fit_head(features[train], label[train], config.penalty))
        if config.encoder == "full":
            _train(classifier, store, scans.iloc[train], config, logs / f"fold-{number}")
        classifier.eval()
        yield FittedFold(number=number, target=config.target, classifier=classifier, train=fold.train, test=fold.test)


@torch.no_grad()
def predict(fold: FittedFold, store: Store, scans: pd.DataFrame) -> pd.DataFrame:
    """Held-out predictions of a fold: scan, subject, site, label, fold, probability."""
    test = scans[scans["subject"].isin(fold.test)]
    windows = Windows(store, test["scan"].tolist(), fold.classifier.autoencoder.tokenizer.window)
    log_odds = [fold.classifier(*scan_windows(windows, scan)).item() for scan in range(len(test))]
    probability = torch.tensor(log_odds).sigmoid().numpy()
    return test[["scan", "subject", "site", "label"]].assign(fold=fold.number, probability=probability)


def _train(classifier: ScanClassifier, store: Store, scans: pd.DataFrame, config: FinetuneConfig, logs: Path) -> None:
    windows = Windows(store, scans["scan"].tolist(), classifier.autoencoder.tokenizer.window)
    label = scans["label"].to_numpy()
    generator = torch.Generator().manual_seed(config.seed)
    loader = DataLoader(
        LabelledScans(windows, label, config.seed), batch_size=_SCANS_A_STEP, shuffle=True, generator=generator
    )
    optim = OptimConfig(lr=config.lr, batch_size=_SCANS_A_STEP)
    module = FinetuneModule(classifier.train(), optim, prevalence=float(label.mean()))
    trainer = make_trainer(
        config.trainer,
        max_epochs=config.epochs,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=False,
        default_root_dir=logs,
    )
    trainer.fit(module, loader)
    classifier.cpu()
