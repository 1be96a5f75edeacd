"""Cross-validated networks: fit on the training subjects of a fold, predict the others.

Axes: S scans, D features, C classes.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from fmrifm.config import EncoderMode, FinetuneConfig, OptimConfig
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.choices import choose, threshold
from fmrifm.evaluation.probe import fit_head, scan_features, scan_summaries
from fmrifm.evaluation.readout import held_out_table, pooled_features
from fmrifm.evaluation.splits import Fold, inner_folds, sides
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained
from fmrifm.training.classifiers import FittedFold
from fmrifm.training.finetune import WATCHED, FinetuneModule, LabelledScans, choose_trained
from fmrifm.training.recurrent import RecurrentModule, WholeScans, padded, summarised_scans
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
        logs: Folder for the Trainer's files where something is trained by gradient.

    Yields:
        The fitted fold, and its held-out predictions, as `readout.held_out_table` makes them.
    """
    windows = Windows(store, scans["scan"].tolist(), pretrained.tokens.window_volumes)
    classes = int(scans["label"].max()) + 1
    start = ScanClassifier(pretrained.model, config.pooling, config.connectivity, classes)
    # The summaries are the same in every fold: the encoder has not seen a label yet.
    every = track(range(len(scans)), description="Features", console=Console(stderr=True))
    summaries = scan_summaries(start, windows, every)
    for number, fold in enumerate(folds):
        _, test = sides(scans, fold)
        held_out = summaries[test]
        if config.by_gradient:
            classifier, cut = _trained(start, summaries, windows, scans, fold, config, logs / f"fold-{number}")
            held_out = scan_summaries(classifier, windows, test.tolist())
        else:
            classifier, cut = _fitted(start, summaries, scans, fold, config)
        fitted = FittedFold(
            number=number,
            target=config.target,
            classifier=classifier.eval(),
            train=fold.train,
            test=fold.test,
            threshold=cut,
        )
        probability = _probability(classifier, held_out)
        yield fitted, held_out_table(scans.iloc[test], number, fold, probability, cut)


def _fitted(
    start: ScanClassifier, summaries: Tensor, scans: pd.DataFrame, fold: Fold, config: FinetuneConfig
) -> tuple[ScanClassifier, float]:
    """The classifier with pooling and linear layer of a fold's training scans, and its threshold."""
    train, _ = sides(scans, fold)
    choice = choose(pooled_features(start, summaries, scans["site"]), scans, fold, config)
    classifier = copy.deepcopy(start)
    classifier.pooling.fit(summaries[train])
    label = scans["label"].to_numpy(np.int64)[train]
    classifier.set_head(*fit_head(scan_features(classifier, summaries[train]), label, choice.penalty))
    return classifier, choice.threshold


def _trained(
    start: ScanClassifier,
    summaries: Tensor,
    windows: Windows,
    scans: pd.DataFrame,
    fold: Fold,
    config: FinetuneConfig,
    logs: Path,
) -> tuple[ScanClassifier, float]:
    """The same, then trained by gradient until the scans of one inner fold are predicted no better."""
    inner = inner_folds(scans, fold, config.inner_folds, config.seed)[0]
    train, watched = sides(scans, inner)
    classifier, _ = _fitted(start, summaries, scans, inner, config)
    label = scans["label"].to_numpy(np.int64)
    generator = torch.Generator().manual_seed(config.seed)
    choose_trained(classifier, config.encoder, config.lora_rank, generator)
    optim = OptimConfig(lr=config.lr or _LR[config.encoder], batch_size=_SCANS_A_STEP)
    count = np.bincount(label[train], minlength=int(label.max()) + 1)
    module = _module(classifier.train(), optim, count, config)
    loaders = (
        DataLoader(
            _data(summaries[part], windows.part(part.tolist()), label[part], rng, config),
            batch_size=_SCANS_A_STEP,
            shuffle=rng is not None,
            generator=generator,
            collate_fn=padded if config.pooling == "recurrent" else default_collate,
        )
        for part, rng in ((train, np.random.default_rng(config.seed)), (watched, None))
    )
    _fit(module, *loaders, config=config, logs=logs)
    if config.threshold == "half":
        return classifier, 0.5
    return classifier, threshold(label[watched], _probability(classifier, scan_summaries(classifier, windows, watched)))


def _module(
    classifier: ScanClassifier, optim: OptimConfig, count: NDArray[np.int64], config: FinetuneConfig
) -> FinetuneModule:
    if config.pooling != "recurrent":
        return FinetuneModule(classifier, optim, count)
    summarised = config.encoder == "frozen"
    return RecurrentModule(
        classifier, optim, count, credit=config.credit, horizon=config.horizon, summarised=summarised
    )


def _data(
    summaries: Tensor,
    windows: Windows,
    label: NDArray[np.int64],
    rng: np.random.Generator | None,
    config: FinetuneConfig,
) -> Dataset[Any]:
    """What a network learns from: some windows of each scan, or, where it is recurrent, all of them in order."""
    if config.pooling != "recurrent":
        return LabelledScans(windows, label, rng)
    return summarised_scans(summaries, windows, label) if config.encoder == "frozen" else WholeScans(windows, label)


def _fit(
    module: FinetuneModule, train: DataLoader[Any], watched: DataLoader[Any], *, config: FinetuneConfig, logs: Path
) -> None:
    """Train, and go back to the weights of the best pass."""
    best = ModelCheckpoint(logs, monitor=WATCHED, save_weights_only=True, enable_version_counter=False)
    trainer = make_trainer(
        {**config.trainer, "callbacks": [best, EarlyStopping(WATCHED, patience=config.patience)]},
        max_epochs=config.epochs,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        logger=False,
        default_root_dir=logs,
    )
    trainer.fit(module, train_dataloaders=train, val_dataloaders=watched)
    module.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
    Path(best.best_model_path).unlink()
    module.cpu()


@torch.no_grad()
def _probability(classifier: ScanClassifier, summaries: Tensor) -> NDArray[np.float32]:
    features = torch.from_numpy(scan_features(classifier, summaries))
    return classifier.eval().probability(features).numpy()
