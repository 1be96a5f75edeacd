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
        model.prior.fit(*population_sample(windows, in_pool.numpy()), seed)


def population_sample(windows: Windows, pool: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Take volumes of every scan, as many of each as memory allows.

    Args:
        windows: The scans.
        pool: Voxels to take, shape (V,).

    Returns:
        The volumes, 0 outside the pool, shape (S, V), and the share of them in which each voxel is covered, (V,).
    """
    wanted = max(1, _VALUES // (len(pool) * len(windows)))
    # Windows of every part of a scan, and few volumes of each: neighbours say nearly the same.
    most = min(wanted, max(3, -(-3 * wanted // windows.volumes)))
    places = [windows.cover(scan, most) for scan in range(len(windows))]
    taken = [_volumes(len(of_scan), windows.volumes, wanted) for of_scan in places]
    sample = np.empty((sum(len(p) * len(t) for p, t in zip(places, taken, strict=True)), len(pool)), np.float32)
    covered, row = np.zeros(len(pool)), 0
    for place, volumes in ((p, t) for of_scan, t in zip(places, taken, strict=True) for p in of_scan):
        window = windows[place]
        sample[row : row + len(volumes)] = window.signal.numpy()[volumes] * pool
        covered += len(volumes) * window.covered.numpy()
        row += len(volumes)
    return sample, covered / len(sample)


def _volumes(n_windows: int, volumes: int, wanted: int) -> NDArray[np.intp]:
    """Which volumes of each of a scan's windows to take: evenly spaced, about `wanted` of all windows together."""
    every = -(-n_windows * volumes // wanted)
    return np.arange(min(every // 2, volumes - 1), volumes, every)
