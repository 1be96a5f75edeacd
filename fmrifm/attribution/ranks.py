"""Two rankings of regions compared: rank correlation, and how many of the leading regions they share.

Axes: R regions; only those that both rankings know take part.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata, spearmanr

Array = NDArray[np.float64]
_FEWEST = 3
"""Regions below which a rank correlation says nothing."""


def both_known(first_R: Array, second_R: Array) -> tuple[Array, Array]:
    """The values of the regions that neither ranking misses."""
    known = ~np.isnan(first_R) & ~np.isnan(second_R)
    return first_R[known], second_R[known]


def spearman(first_R: Array, second_R: Array) -> float:
    """Spearman's rank correlation; NaN where a ranking is constant or fewer than three regions are known to both."""
    first, second = both_known(first_R, second_R)
    if len(first) < _FEWEST or np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan
    return float(spearmanr(first, second).statistic)


def spearman_interval(rho: float, regions: int) -> tuple[float, float]:
    """95 % interval of a rank correlation by Fisher's z, as if regions were independent.

    They are not (neighbours and homologues are alike), so the true one is wider. A bootstrap over regions takes them
    for independent too and is no better for its noise: of 166 regions (rho .5) both hold the truth in 96 % of samples.

    Args:
        rho: The correlation.
        regions: How many it was taken over.

    Returns:
        Low and high; NaN for three regions or fewer.

    References:
        Bonett and Wright 2000, doi:10.1007/BF02294183: the standard error of z is sqrt((1 + rho^2 / 2) / (n - 3)).
    """
    if np.isnan(rho) or regions <= _FEWEST:
        return np.nan, np.nan
    half = norm.ppf(0.975) * np.sqrt((1 + rho**2 / 2) / (regions - 3))
    with np.errstate(divide="ignore"):  # 1 is as far as z reaches
        z = np.arctanh(np.clip(rho, -1, 1))
    return float(np.tanh(z - half)), float(np.tanh(z + half))


def overlap(first_R: Array, second_R: Array, k: int) -> float:
    """Share of each one's `k` largest that both name, ties broken at random (their average); NaN without regions."""
    first, second = both_known(first_R, second_R)
    k = min(k, len(first))
    return float(_leading(first, k) @ _leading(second, k) / k) if k else np.nan


def chance_overlap(regions: int, k: int) -> float:
    """The overlap of two rankings in random order: k / R, the share of all regions that either names."""
    return min(k, regions) / regions if regions else np.nan


def _leading(values: Array, k: int) -> Array:
    """Probability that each is among the `k` largest when ties are broken at random."""
    larger = rankdata(-values, method="min") - 1
    tied = rankdata(-values, method="max") - larger
    return np.clip((k - larger) / tied, 0, 1)
