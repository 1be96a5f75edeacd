"""Scans whose best prediction is known: a linear network, seen through the haemodynamic response and noise.

Axes: B scans, T frames, P parcels.
"""

import numpy as np
from numpy.typing import NDArray

from fmrifm.cerebellum.hrf import eligibility, hrf

_BURN_IN = 50


def network(parcels: int, rng: np.random.Generator, radius: float = 0.95) -> NDArray[np.float64]:
    """Sparse coupling (P, P) of that spectral radius: each parcel hears itself a little, and four others."""
    coupling = np.eye(parcels) * 0.2
    for parcel in range(parcels):
        others = rng.choice(np.delete(np.arange(parcels), parcel), 4, replace=False)
        coupling[parcel, others] = rng.normal(0, 0.5, 4)
    return np.asarray(coupling * radius / np.abs(np.linalg.eigvals(coupling)).max())


def linear_scans(
    coupling: NDArray[np.float64],
    scans: int,
    frames: int,
    rng: np.random.Generator,
    tr_s: float = 2.0,
    noise: float = 0.3,
) -> NDArray[np.float32]:
    """First-order vector autoregression, convolved with the response, plus white noise; z-scored, shape (B, T, P)."""
    parcels, total = len(coupling), frames + _BURN_IN
    drive = rng.normal(size=(total, scans, parcels))
    for frame in range(1, total):
        drive[frame] += drive[frame - 1] @ coupling.T
    bold = eligibility(drive.transpose(1, 2, 0), hrf(tr_s)).transpose(0, 2, 1)[:, _BURN_IN:]
    bold /= bold.std(axis=(0, 1))
    bold += noise * rng.normal(size=bold.shape)
    return np.asarray(bold / bold.std(axis=(0, 1)), dtype=np.float32)
