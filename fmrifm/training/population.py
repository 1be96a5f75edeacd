"""Fits the population prior to the scans of a store.

Axes: S volumes of a sample, V brain voxels.
"""

import numpy as np
from numpy.typing import NDArray

from fmrifm.data.windows import Windows
from fmrifm.model.mae import MaskedAutoencoder

_VALUES = 2**27
"""Most numbers in a sample: 512 MiB in float32, 4,500 volumes of the brain at 4 mm."""


def fit_population(model: MaskedAutoencoder, windows: Windows, seed: int) -> None:
    """Fit the prior of a model, if it has one, to evenly spaced volumes of all scans.

    Args:
        model: On the CPU.
        windows: Scans to learn from: training scans only.
        seed: Seed of the decomposition.
    """
    if model.prior is not None:
        in_pool = model.tokenizer.region_of_voxel < model.tokenizer.regions
        model.prior.fit(population_sample(windows, in_pool.numpy()), seed)


def population_sample(windows: Windows, pool: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Volumes of every scan, as many of each as memory allows, 0 outside the pool (V,); shape (S, V)."""
    wanted = max(1, _VALUES // (len(pool) * len(windows)))
    parts = []
    for scan in range(len(windows)):
        # Windows of every part of the scan, and few volumes of each: neighbours say nearly the same.
        places = windows.cover(scan, most=-(-3 * wanted // windows.volumes))
        every = max(1, len(places) * windows.volumes // wanted)
        parts += [windows[place].signal[::every].numpy() * pool for place in places]
    return np.concatenate(parts)
