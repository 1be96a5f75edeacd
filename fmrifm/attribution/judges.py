"""The classifiers that explain a cohort, and their spoilt counterparts: shuffled labels, random weights.

An attribution that shows what was learnt must change when nothing could be learnt.

References:
    Adebayo et al. 2018 (sanity checks for saliency maps), arXiv:1810.03292.

Axes: S scans, D pooled features.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import nn

from fmrifm.attribution.cohort import Judges, generator_of
from fmrifm.config import LEARNED
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.permutation import shuffled_labels
from fmrifm.evaluation.probe import fit_head, scan_features, scan_summaries
from fmrifm.training.classifiers import FittedFold

Module = TypeVar("Module", bound=nn.Module)
SPOILT = 4
"""Shufflings of the labels, and random linear layers: one alone would say chance with too much noise."""


def randomised(module: Module, generator: torch.Generator) -> Module:
    """A copy whose weights mean nothing: the numbers of each parameter in random order, which keeps their size."""
    copied = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in copied.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return copied.eval()


def judges(
    folds: Sequence[FittedFold],
    number: NDArray[np.intp],
    store: Store,
    labelled: pd.DataFrame,
    settings: Mapping[str, Any],
    seed: int,
) -> Judges:
    """Collect the judges of a cohort and spoil copies of them.

    Args:
        folds: Fitted classifiers.
        number: Position among them of each scan's judge.
        store: Where the scans are.
        labelled: All labelled scans of the store: what the folds learnt from.
        settings: Those of the run that fitted them: encoder, pooling, penalty.
        seed: Of shuffles and random weights.
    """
    generator = torch.Generator().manual_seed(seed)
    random = randomised(folds[0].classifier, generator)
    random_heads = tuple(randomised(folds[0].classifier.linear, generator) for _ in range(SPOILT - 1))
    frozen = settings["encoder"] == "frozen" and settings["pooling"] not in LEARNED
    shuffled = _shuffled(folds, store, labelled, float(settings["penalty"][0]), seed) if frozen else ((),) * len(folds)
    return Judges(tuple(folds), number, shuffled, random, random_heads)


def _shuffled(
    folds: Sequence[FittedFold], store: Store, labelled: pd.DataFrame, penalty: float, seed: int
) -> tuple[tuple[nn.Linear, ...], ...]:
    """Linear layers of each fold, fitted to labels shuffled within sites."""
    first = folds[0].classifier
    windows = Windows(store, labelled["scan"].tolist(), first.autoencoder.tokenizer.window)
    every = track(range(len(labelled)), description="Shuffled labels", console=Console(stderr=True))
    summaries = scan_summaries(first, windows, every)
    found = []
    for position, fold in enumerate(folds):
        train = np.flatnonzero(labelled["subject"].isin(fold.train))
        features = scan_features(fold.classifier, summaries[torch.from_numpy(train)])
        scans = labelled.iloc[train]
        rng = generator_of(seed, 2, position)
        cases = scans.assign(label=(scans["label"] > 0).astype(np.int64))
        found.append(tuple(_head(features, label, penalty) for label in shuffled_labels(cases, SPOILT, rng)))
    return tuple(found)


def _head(features: NDArray[np.floating], label: NDArray[np.int64], penalty: float) -> nn.Linear:
    weight, bias = fit_head(features, label, penalty)
    linear = nn.Linear(features.shape[1], 1)
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
    return linear
