"""Read-out of the connectome baseline: what each region's edges give to its log-odds.

The baseline is linear, so silencing a region, which puts its edges to their mean in the training scans, costs exactly
the sum of weight times difference over those edges: the same question that occlusion asks of the network.

Axes: S scans, R regions, E = R * (R - 1) / 2 edges in nilearn's order.
"""

import numpy as np
from nilearn.connectome import vec_to_sym_matrix
from numpy.typing import NDArray

from fmrifm.evaluation.probe import fit_head


def region_readout(
    known_SE: NDArray[np.floating], label: NDArray[np.int64], asked_SE: NDArray[np.floating], penalty: float
) -> NDArray[np.float64]:
    """Fit the connectome baseline to scans, and say what regions give to the log-odds of others.

    Args:
        known_SE: Connectomes of the training scans.
        label: Of these, 0 or 1.
        asked_SE: Connectomes of the scans to explain.
        penalty: Strength of the L2 penalty as a multiple of E.

    Returns:
        Log-odds with a region minus without it, shape (asked, R).
    """
    weight, _ = fit_head(known_SE, label, penalty)
    given_SE = (asked_SE - known_SE.mean(axis=0)) * weight.numpy()
    regions = round((1 + np.sqrt(1 + 8 * known_SE.shape[1])) / 2)
    matrices = vec_to_sym_matrix(given_SE.astype(np.float64), np.zeros((len(given_SE), regions)))
    return np.asarray(matrices.sum(axis=2))
