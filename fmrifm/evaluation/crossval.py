"""Cross-validated classification: fit on the training subjects of a fold, predict the others.

Axes: S scans, D features.
"""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader

from fmrifm.config import EncoderMode, FinetuneConfig, OptimConfig
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.probe import fit_head, scan_features, scan_summaries
from fmrifm.evaluation.splits import Fold
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained
from fmrifm.training.classifiers import FittedFold
from fmrifm.training.finetune import FinetuneModule, LabelledScans, choose_trained
from fmrifm.training.trainer import make_trainer

_SCANS_A_STEP = 4
_LR: dict[EncoderMode, float] = {"frozen": 1e-3, "full": 1e-4, "lora": 1e-3}
"""Peak learning rates: pretrained weights should move little, new ones have to get somewhere."""


def fit_folds(
    pretrained: Pretrained, store: Store, scans: pd.DataFrame, folds: list[Fold], config: FinetuneConfig, logs: Path
) -> Iterator[tuple[FittedFold, pd.DataFrame]]:
    """Fit one classifier a fold, and let it predict the subjects it never saw.

    Args:
        pretrained: Encoder to start from.
        store: Where the scans are.
        scans: Labelled scans.
        folds: Who is learnt from and who is not.
        config: Encoder, pooling, penalty and optimiser settings.
        logs: Folder for the Trainer's logs where something is trained by gradient.

    Yields:
        The fitted fold, and its held-out predictions: scan, subject, site, label, fold, probability.
    """
    windows = Windows(store, scans["scan"].tolist(), pretrained.tokens.window_volumes)
    start = ScanClassifier(pretrained.model, config.pooling, config.connectivity)
    # The summaries are the same in every fold: the encoder has not seen a label yet.
    every = track(range(len(scans)), description="Features", console=Console(stderr=True))
    summaries = scan_summaries(start, windows, every)
    label = scans["label"].to_numpy(np.int64)
    for number, fold in enumerate(folds):
        train, test = (np.flatnonzero(scans["subject"].isin(part)) for part in (fold.train, fold.test))
        classifier = copy.deepcopy(start)
        classifier.pooling.fit(summaries[train])
        classifier.set_head(*fit_head(scan_features(classifier, summaries[train]), label[train], config.penalty))
        held_out = summaries[test]
        if config.encoder != "frozen" or config.pooling == "attention":
            _train(classifier, store, scans.iloc[train], config, logs / f"fold-{number}")
            held_out = scan_summaries(classifier, windows, test.tolist())
        fitted = FittedFold(
            number=number, target=config.target, classifier=classifier.eval(), train=fold.train, test=fold.test
        )
        yield fitted, _predict(fitted, scan_features(classifier, held_out), scans.iloc[test])


@torch.no_grad()
def _predict(fold: FittedFold, features: NDArray[np.float32], scans: pd.DataFrame) -> pd.DataFrame:
    probability = fold.classifier.score(torch.from_numpy(features)).sigmoid().numpy()
    return scans[["scan", "subject", "site", "label"]].assign(fold=fold.number, probability=probability)


def _train(classifier: ScanClassifier, store: Store, scans: pd.DataFrame, config: FinetuneConfig, logs: Path) -> None:
    windows = Windows(store, scans["scan"].tolist(), classifier.autoencoder.tokenizer.window)
    label = scans["label"].to_numpy()
    generator = torch.Generator().manual_seed(config.seed)
    choose_trained(classifier, config.encoder, config.lora_rank, generator)
    loader = DataLoader(
        LabelledScans(windows, label, config.seed), batch_size=_SCANS_A_STEP, shuffle=True, generator=generator
    )
    optim = OptimConfig(lr=config.lr or _LR[config.encoder], batch_size=_SCANS_A_STEP)
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
