"""One cell of the trial of masking: pretrain without the tested subjects, then reconstruct and classify them."""

import time
from dataclasses import fields, replace
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch

from fmrifm.config import CompareConfig, MaskKind, NetworkConfig, PretrainConfig
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.metrics import by_subject, fold_scores
from fmrifm.evaluation.probe import scan_summaries
from fmrifm.evaluation.readout import pooled_features, predict_folds
from fmrifm.evaluation.reconstruction import reconstruction_scores
from fmrifm.evaluation.splits import Fold
from fmrifm.evaluation.trial import CLASSIFICATION, UNTRAINED, Cell, with_levels
from fmrifm.evaluation.twins import seen_before
from fmrifm.masking import hidden_share, masker_for
from fmrifm.model.heads import ScanClassifier
from fmrifm.model.mae import MaskedAutoencoder
from fmrifm.training.assembly import assemble
from fmrifm.training.datamodule import PretrainData
from fmrifm.training.guard import SkipBroken
from fmrifm.training.modules import PretrainModule
from fmrifm.training.population import fit_population
from fmrifm.training.trainer import OWN_SHARES, make_trainer

_TESTED_WITH: tuple[MaskKind, ...] = ("random", "region")
"""Masks under which all are tested, whatever they were trained with."""
_DRAWS = 256
"""Masks behind the mean share that is hidden."""


def run_cell(
    cell: Cell, config: CompareConfig, store: Store, scans: pd.DataFrame, fold: Fold, device: int | None = None
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Pretrain and judge.

    Args:
        cell: Which strategy, and at which levels of the factors.
        config: Settings of the trial.
        store: Where the scans are.
        scans: Those that hold a window; `label` is missing where there is none.
        fold: Who is learnt from and who is tested.
        device: Number of the GPU, where there are several to choose from.

    Returns:
        The cell's row, and the held-out predictions with masker, seed and factors.
    """
    started = time.monotonic()
    settings = cell_settings(cell, config, device)
    train = scans.loc[~scans["subject"].isin(seen_before(scans, fold.test)), "scan"].tolist()
    L.seed_everything(settings.seed, verbose=False)
    module, data = assemble(store, settings, train, [])
    trained = cell.masker != UNTRAINED
    updates = _pretrain(module, data, settings) if trained else 0
    labelled = scans.dropna(subset="label").astype({"label": int}).reset_index(drop=True)
    model = module.model.eval()
    predictions = classify(model, store, labelled, fold, with_levels(config, cell.levels))
    tested = labelled.loc[labelled["subject"].isin(fold.test), ["scan", "subject"]]
    judged = fold_scores(by_subject(predictions)).iloc[0]
    row = {
        **cell.row(),
        "n_train": len(fold.train),
        "n_test": len(fold.test),
        "updates": updates,
        "hidden_share": _mean_share(module, settings.seed) if trained else None,
        **_reconstruction(model, store, tested, settings),
        **{name: float(judged[name]) for name in CLASSIFICATION},
        "seconds": round(time.monotonic() - started, 1),
    }
    return row, predictions.assign(**cell.row())


def cell_settings(cell: Cell, config: CompareConfig, device: int | None = None) -> PretrainConfig:
    """Settings of a cell's pretraining: those of the trial, its strategy, its levels, and a seed for all strategies."""
    config = with_levels(config, cell.levels)
    kind = next((kind for kind in config.maskers if kind == cell.masker), config.maskers[0])
    network = {part.name: getattr(config, part.name) for part in fields(NetworkConfig)}
    return PretrainConfig(
        store=config.store,
        out=config.out,
        **network | {"masking": replace(config.masking, kind=kind)},
        seed=int(np.random.SeedSequence([config.seed, cell.seed]).generate_state(1)[0]),
        trainer={**config.trainer, "max_steps": config.steps, **({} if device is None else {"devices": [device]})},
    )


def classify(
    model: MaskedAutoencoder, store: Store, scans: pd.DataFrame, fold: Fold, config: CompareConfig
) -> pd.DataFrame:
    """Held-out predictions of one fold from the frozen encoder's features."""
    classifier = ScanClassifier(model, config.pooling, config.connectivity)
    windows = Windows(store, scans["scan"].tolist(), model.tokenizer.window)
    summaries = scan_summaries(classifier, windows, range(len(scans)))
    return predict_folds(pooled_features(classifier, summaries, scans["site"]), scans, [fold], config)


def _pretrain(module: PretrainModule, data: PretrainData, settings: PretrainConfig) -> int:
    fit_population(module.model, data.train, settings.seed)
    trainer = make_trainer(
        {**settings.trainer, **OWN_SHARES},
        callbacks=[SkipBroken(data.train.scans, settings.optim.broken_steps)],
        max_epochs=-1,
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        logger=False,
        gradient_clip_val=1.0,
    )
    trainer.fit(module, datamodule=data)
    return int(trainer.global_step)


def _mean_share(module: PretrainModule, seed: int) -> float:
    hidden = module.masker(_DRAWS, torch.Generator().manual_seed(seed))
    return float(hidden_share(hidden, module.model.tokenizer.pool))


def _reconstruction(
    model: MaskedAutoencoder, store: Store, tested: pd.DataFrame, settings: PretrainConfig
) -> dict[str, float]:
    """R2 of the tested subjects under each kind of masks."""
    windows = Windows(store, tested["scan"].tolist(), model.tokenizer.window)
    found: dict[str, float] = {}
    for kind in _TESTED_WITH:
        masker = masker_for(model.tokenizer.pool, replace(settings.masking, kind=kind))
        scores = reconstruction_scores(model, windows, masker, tested["subject"].to_numpy(str), settings.seed)
        found |= {f"{name}_{kind}": score.value for name, score in scores.items()}
    return found
