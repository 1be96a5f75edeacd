"""Means over subjects, with bootstrap draws and shuffled labels of the subjects behind them.

A subject is drawn by its weight, so that all draws of all regions are one product of matrices, and
figures that share their weights (left and right, total and per voxel) are drawn together.

Axes: S subjects, R regions (or systems), D draws (the first is everyone once), P shuffles.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from fmrifm.evaluation.permutation import shuffle_within

Array = NDArray[np.float64]
COVERED = 0.5
"""Least share of a region's voxels that a scan must cover for the region to count."""
_INTERVAL = 0.025, 0.975
_CELLS = 2**20
"""Numbers of a block of shuffles: 8 MiB an array, of which some six are held at a time."""
_ROUNDING = 1e-12
"""Of a region's largest score: sums of the same numbers in another order differ by less."""


def counted(scores_SR: Array, coverage_SR: Array) -> Array:
    """Scores of the regions that a subject covers, NaN of the others."""
    return np.where(coverage_SR >= COVERED, scores_SR, np.nan)


def draws(members_S: NDArray[np.bool_], resamples: int, rng: np.random.Generator) -> Array:
    """Weights of subjects: everyone once, then how often each member is drawn in each resample.

    Args:
        members_S: True for the subjects to draw from; there may be none.
        resamples: Draws with replacement, each of as many as there are members.
        rng: Source of randomness.

    Returns:
        Shape (1 + resamples, S), 0 for who is not a member.
    """
    weight_DS = np.zeros((1 + resamples, len(members_S)))
    weight_DS[0] = members_S
    if n := int(members_S.sum()):
        weight_DS[1:, members_S] = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    return weight_DS


def known_mean(weight_DS: Array, scores_SR: Array) -> Array:
    """Weighted mean over the subjects whose score is known, shape (D, R); NaN where none of them is drawn."""
    known = ~np.isnan(scores_SR)
    total, count = weight_DS @ np.where(known, scores_SR, 0.0), weight_DS @ known
    return np.where(count > 0, total / np.where(count > 0, count, 1), np.nan)


def drawn_value(scores_SR: Array, *weights: Array) -> Array:
    """What a table says of a region, shape (D, R).

    Args:
        scores_SR: NaN where a region does not count.
        weights: One array (D, S) for the mean over subjects. Two, of label 1 and of label 0, for half the
            difference of their means: what the region adds to the log-odds of either, for its own label.
    """
    means = [known_mean(weight_DS, scores_SR) for weight_DS in weights]
    return means[0] if len(means) == 1 else (means[0] - means[1]) / 2


def estimate(drawn_DR: Array) -> Array:
    """The value (first row) and its percentile interval (of the others), shape (3, R); NaN where there is no value."""
    found = np.full((3, drawn_DR.shape[1]), np.nan)
    known = ~np.isnan(drawn_DR[0])
    found[0] = drawn_DR[0]
    if known.any():
        found[1:, known] = np.nanquantile(drawn_DR[1:, known], _INTERVAL, axis=0)
    return found


def difference_p(
    scores_SR: Array, case_S: NDArray[np.bool_], site_S: NDArray[np.object_], permutations: int,
    rng: np.random.Generator,
) -> Array:  # fmt: skip
    """Two-sided p of the difference between label means, by shuffling labels within sites.

    Args:
        scores_SR: NaN where a region does not count.
        case_S: True for label 1.
        site_S: Where labels are exchangeable; subjects without a site form one of their own.
        permutations: Shuffles. A shuffle that leaves a label without a score counts as one that reaches the observed.
        rng: Source of randomness.

    Returns:
        p = (1 + shuffles that reach the observed) / (1 + shuffles), shape (R,); NaN where a label has no score.

    References:
        Phipson and Smyth 2010, doi:10.2202/1544-6115.1585.
    """
    known = ~np.isnan(scores_SR)
    count = known.sum(axis=0)
    mean = np.where(known, scores_SR, 0.0).sum(axis=0) / np.maximum(count, 1)
    # Around its mean a region's scores add up to 0: what cases have more, controls have less.
    centred = np.where(known, scores_SR - mean, 0.0)
    slack = _ROUNDING * np.where(known, np.abs(scores_SR), 0.0).max(axis=0, initial=0)

    def size(case_PS: Array) -> Array:
        cases = case_PS @ known
        pairs = cases * (count - cases)
        difference = np.abs(case_PS @ centred) * count
        return np.divide(difference, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)

    observed = size(case_S[None].astype(float))[0]
    reached = np.zeros(len(observed))
    for case_PS in _shuffles(case_S, site_S, permutations, sum(scores_SR.shape), rng):
        reached += (~(size(case_PS) < observed - slack)).sum(axis=0)
    return np.where(np.isnan(observed), np.nan, (1 + reached) / (1 + permutations))


def adjusted(p: Array) -> Array:
    """Adjust p after Benjamini and Hochberg over what was tested; NaN stays."""
    found = np.full(p.shape, np.nan)
    known = ~np.isnan(p)
    if known.any():
        found[known] = false_discovery_control(p[known])
    return found


def rank(values: Array) -> "pd.Series[int]":
    """1 for the largest; ties share the better rank, NaN has none."""
    return pd.Series(values).rank(ascending=False, method="min").astype("Int64")


def _shuffles(
    case_S: NDArray[np.bool_], site_S: NDArray[np.object_], permutations: int, width: int, rng: np.random.Generator
) -> Iterator[Array]:
    """Labels after shuffles, a block at a time, each (P, S)."""
    block = max(1, _CELLS // max(width, 1))
    for start in range(0, permutations, block):
        yield shuffle_within(case_S, site_S, min(block, permutations - start), rng).astype(float)
