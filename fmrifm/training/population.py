"""Fits the population prior to the scans of a store.

Axes: S volumes of a sample, N tokens = T patches * K chunks, M coefficients, p volumes of a patch.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from fmrifm.data.windows import Windows
from fmrifm.model.mae import MaskedAutoencoder
from fmrifm.model.tokens import Tokenizer

_VALUES = 2**26
"""Most numbers in a sample: 256 MiB in float32, 6,000 volumes of AAL3's chunks at 4 mm."""
_EVERY = 3
"""Volumes from one to the next that is taken: neighbours say nearly the same."""


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
    """Coefficients of volumes of every scan, as many of each as memory allows, shape (S, K, M)."""
    chunks, _, terms = tokenizer.basis.shape
    volumes = -(-tokenizer.window // _EVERY)
    per_scan = max(1, _VALUES // (chunks * terms * volumes * len(windows)))
    parts = []
    for place in (place for scan in range(len(windows)) for place in windows.cover(scan, most=per_scan)):
        coefficients = tokenizer.project(tokenizer.split(windows[place].signal[None]))[0]
        volume = coefficients.unflatten(0, (tokenizer.patches, chunks)).permute(0, 3, 1, 2).flatten(0, 1)
        parts.append(volume[::_EVERY])
    return torch.cat(parts).numpy()
