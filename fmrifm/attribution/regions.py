"""From scores of subjects to tables of regions and systems, with intervals and tests.

A region that a scan hardly covers does not count for it. Fidelity is averaged over subjects;
occlusion is the difference between label 1 and label 0, halved: what the region contributes to
telling them apart, in log-odds.

Axes: S subjects, R regions (or systems).
"""

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import ttest_1samp, ttest_ind

from fmrifm.attribution.resampling import COVERED, adjusted, counted, drawn_value, draws, estimate, rank

REGION_COLUMNS = [
    "index", "name", "system", "method", "n_voxels", "coverage", "importance", "ci_low", "ci_high", "p_fdr", "rank",
]  # fmt: skip
SYSTEM_COLUMNS = [column for column in REGION_COLUMNS if column not in ("index", "name")]


def importance(
    scores_SR: NDArray[np.float64], label: NDArray[np.int64] | None, resamples: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Average subjects' scores, with a bootstrap interval and a one-sided test.

    Args:
        scores_SR: One row a subject, NaN where the region does not count.
        label: Of each subject, to take the difference between labels; None takes the mean.
        resamples: Bootstrap draws over subjects, within each label.
        rng: Source of randomness.

    Returns:
        importance, ci_low, ci_high, p_fdr and rank of each region; NaN where nothing counts.
    """
    members = [np.ones(len(scores_SR), bool)] if label is None else [label == 1, label == 0]
    weights = [draws(side, resamples, rng) for side in members]
    value, low, high = estimate(drawn_value(scores_SR, *weights))
    table = pd.DataFrame({"importance": value, "ci_low": low, "ci_high": high})
    return table.assign(p_fdr=adjusted(_p([scores_SR[side] for side in members])), rank=rank(value))


def region_table(
    regions: pd.DataFrame, scores_SR: NDArray[np.float64], coverage_SR: NDArray[np.float64], method: str,
    label: NDArray[np.int64] | None, resamples: int, rng: np.random.Generator,
) -> pd.DataFrame:  # fmt: skip
    """One row a region, as regions.tsv holds it.

    Args:
        regions: Regions in the order of the columns of `scores_SR`: index, name, system, n_voxels.
        scores_SR: One row a subject.
        coverage_SR: Share of each region's voxels that each subject's scans cover.
        method: `fidelity` or `occlusion`.
        label: Of each subject for a difference, or None for a mean.
        resamples: Bootstrap draws.
        rng: Source of randomness.
    """
    known_SR = counted(scores_SR, coverage_SR)
    table = regions.reset_index(drop=True).assign(method=method, coverage=coverage_SR.mean(axis=0))
    return pd.concat([table, importance(known_SR, label, resamples, rng)], axis=1)[REGION_COLUMNS]


def system_table(
    regions: pd.DataFrame, scores_SR: NDArray[np.float64], coverage_SR: NDArray[np.float64], method: str,
    label: NDArray[np.int64] | None, resamples: int, rng: np.random.Generator,
) -> pd.DataFrame:  # fmt: skip
    """One row a system: the mean over its regions, each weighted by its voxels. Arguments as in `region_table`."""
    voxels = regions["n_voxels"].to_numpy(float)
    weight_SR = np.where((coverage_SR >= COVERED) & ~np.isnan(scores_SR), voxels, 0.0)
    rows, columns = [], []
    for system, members in regions.reset_index(drop=True).groupby("system", sort=True):
        here = members.index.to_numpy()
        columns.append(_weighted(weight_SR[:, here], scores_SR[:, here]))
        covered = float(coverage_SR[:, here].mean(axis=0) @ voxels[here] / max(voxels[here].sum(), 1))
        rows.append({"system": system, "method": method, "n_voxels": int(voxels[here].sum()), "coverage": covered})
    scores = np.stack(columns, axis=1)
    return pd.concat([pd.DataFrame(rows), importance(scores, label, resamples, rng)], axis=1)[SYSTEM_COLUMNS]


def _weighted(weight_SM: NDArray[np.float64], scores_SM: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted mean along each row, shape (S,); NaN where nothing has weight."""
    total, weight = (weight_SM * np.where(weight_SM > 0, scores_SM, 0.0)).sum(axis=1), weight_SM.sum(axis=1)
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), np.nan)


def _p(groups: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """One-sided t-test (above 0, or label 1 above label 0); NaN without a spread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # too few subjects, or all with one score
        if len(groups) == 1:
            p = ttest_1samp(groups[0], 0, nan_policy="omit", alternative="greater").pvalue
        else:
            p = ttest_ind(*groups, equal_var=False, nan_policy="omit", alternative="greater").pvalue
    return np.asarray(np.ma.filled(p, np.nan), dtype=float)
