"""Our own network as a baseline: at its random initialisation, and trained from there on labels alone.

What pretraining adds is the difference to these.
"""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from fmrifm.config import FinetuneConfig
from fmrifm.data.store import Store
from fmrifm.evaluation.crossval import fit_folds
from fmrifm.evaluation.splits import Fold
from fmrifm.training.checkpoint import Pretrained, build_model

_LR_FROM_SCRATCH = 1e-3
"""Peak learning rate of weights that are all new, as in pretraining."""


def untrained(pretrained: Pretrained, seed: int) -> Pretrained:
    """The same network with weights that have seen nothing.

    Args:
        pretrained: Whose sizes, tokens, grid and atlas are taken.
        seed: Draws the weights.
    """
    sizes = replace(pretrained.sizes, components=0)  # the population prior is of no use to an encoder
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(pretrained.grid, pretrained.atlas, pretrained.tokens, sizes)
    return replace(pretrained, model=model.eval(), sizes=sizes, subjects=(), objective="mask")


def from_scratch(
    blank: Pretrained, store: Store, scans: pd.DataFrame, folds: list[Fold], config: FinetuneConfig, logs: Path
) -> pd.DataFrame:
    """Held-out predictions of an untrained network that learns from the labels of each fold, all weights of it."""
    config = replace(config, encoder="full", lr=config.lr or _LR_FROM_SCRATCH)
    tables = [table for _, table in fit_folds(blank, store, scans, folds, config, logs)]
    return pd.concat(tables, ignore_index=True)
