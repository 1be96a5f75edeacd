"""Fits the population prior to the scans of a store.

Axes: S volumes of a sample, N tokens = T patches * K chunks, M coefficients, p volumes of a patch.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fmrifm.data.windows import Windows
from fmrifm.model.mae import MaskedAutoencoder
from fmrifm.model.tokens import Tokenizer

_VALUES = 2**26
"""Most numbers in a sample: 256 MiB in float32, 6,000 volumes of AAL3's chunks at 4 mm."""


def fit_population(model: MaskedAutoencoder, windows: Windows, seed: int) -> None:
    """Fit the prior of a model, if it has one, to evenly spaced volumes of all scans.

    Args:
        model: On the CPU.
        windows: Scans to learn from: training scans only.
        seed: Seed of the decomposition.
    """
    if model.prior is None:
        return
    tokenizer = model.tokenizer
    model.prior.fit(population_sample(windows, tokenizer), tokenizer.valid.sum(dim=1), seed)


@torch.no_grad()
def population_sample(windows: Windows, tokenizer: Tokenizer) -> NDArray[np.float32]:
    """Coefficients of evenly spaced volumes of every scan, as many of each as memory allows, shape (S, K, M)."""
    chunks, _, terms = tokenizer.basis.shape
    wanted = max(1, _VALUES // (chunks * terms * len(windows)))
    parts = []
    for scan in range(len(windows)):
        # Windows of every part of the scan, and few volumes of each: neighbours say nearly the same.
        places = windows.cover(scan, most=-(-3 * wanted // tokenizer.window))
        every = max(1, len(places) * tokenizer.window // wanted)
        parts += [_volumes(tokenizer, windows[place].signal)[::every] for place in places]
    return torch.cat(parts).numpy()


def _volumes(tokenizer: Tokenizer, signal: Tensor) -> Tensor:
    """Coefficients of each volume of a window: (t, V) to (t, K, M)."""
    coefficients = tokenizer.project(tokenizer.split(signal[None]))[0]
    return coefficients.unflatten(0, (tokenizer.patches, -1)).permute(0, 3, 1, 2).flatten(0, 1)
