"""What regions give to each other: the R2 that one loses when another is hidden beside it.

Fidelity deals the regions of every scan into groups at random, so for two regions some scans hide both at once and
the others leave one visible: the difference of those two means is what the second gives to the first.

Axes: S scans, R regions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Contributions(NamedTuple):
    """Who gives to whom."""

    matrix: NDArray[np.float64]
    """[i, j]: R2 that region j loses when i is hidden too, shape (R, R); NaN where the draw never told."""
    se: NDArray[np.float64]
    """Its standard error over scans, same shape."""
    given: NDArray[np.float64]
    """R2 that all other regions together lose without region i, by scan, shape (S, R)."""


def contributions(r2_SR: NDArray[np.float64], group_SR: NDArray[np.int64]) -> Contributions:
    """Compare scans in which two regions were hidden together with those in which they were not.

    Args:
        r2_SR: R2 of every region in every scan, NaN where unknown.
        group_SR: With whom each region was hidden.
    """
    lost_SR = -_centred(r2_SR)
    known_SR = ~np.isnan(lost_SR)
    value_SR = np.where(known_SR, lost_SR, 0.0)
    regions = r2_SR.shape[1]
    together, apart = np.zeros((2, 3, regions, regions))
    given_SR = np.full(r2_SR.shape, np.nan)
    for value, known, group, given in zip(value_SR, known_SR, group_SR, given_SR, strict=True):
        same = (group[:, None] == group) & ~np.eye(regions, dtype=bool)
        powers = np.stack([known, value, value**2]).astype(float)
        together += same * powers[:, None, :]
        apart += ~same * powers[:, None, :]
        others = same & known
        given[known] = _all_others(value, others, known)[known]
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = together[1] / together[0] - apart[1] / apart[0]
        se = np.sqrt(_squared_error(together) + _squared_error(apart))
    np.fill_diagonal(matrix, np.nan)
    np.fill_diagonal(se, np.nan)
    return Contributions(matrix, se, given_SR)


def _all_others(
    value: NDArray[np.float64], together: NDArray[np.bool_], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Mean loss of those hidden with each region against all others, times how many others there are."""
    n_with, n_known = together.sum(axis=1), known.sum() - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_with = together @ value / n_with
        mean_apart = (value.sum() - value - together @ value) / (n_known - n_with)
        return (mean_with - mean_apart) * n_known


def _centred(r2_SR: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take out how well a region is predicted over all scans, and how well a scan is over its regions."""
    around_region = r2_SR - _nanmean(r2_SR, axis=0)
    return around_region - _nanmean(around_region, axis=1)


def _nanmean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    return np.nansum(values, axis=axis, keepdims=True) / np.maximum(known.sum(axis=axis, keepdims=True), 1)


def _squared_error(sums: NDArray[np.float64] | Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Squared standard error of a mean, from count, sum and sum of squares; NaN of fewer than two."""
    n, total, squared = sums
    variance = (squared / n - (total / n) ** 2) * n / (n - 1)
    return np.where(n > 1, variance.clip(min=0) / n, np.nan)
