"""Rank correlation of two rankings of regions, and how sure it is."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

_FEWEST = 4
"""Regions below which the interval is undefined."""


def spearman(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Spearman's rho over the regions that both know; NaN where one of them is constant or too few are known."""
    known = ~np.isnan(first) & ~np.isnan(second)
    if known.sum() < _FEWEST or np.ptp(first[known]) == 0 or np.ptp(second[known]) == 0:
        return np.nan
    return float(spearmanr(first[known], second[known]).statistic)


def spearman_interval(rho: float, regions: int) -> tuple[float, float]:
    """95 % interval of Spearman's rho; regions are taken for independent, so it is the narrowest that it can be.

    References:
        Bonett and Wright 2000, doi:10.1007/BF02294183 (standard error sqrt((1 + rho^2 / 2) / (n - 3)) of Fisher's z).
    """
    if np.isnan(rho) or regions < _FEWEST or abs(rho) == 1:
        return rho, rho
    half = 1.96 * np.sqrt((1 + rho**2 / 2) / (regions - 3))
    return float(np.tanh(np.arctanh(rho) - half)), float(np.tanh(np.arctanh(rho) + half))
