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
from scipy.stats import false_discovery_control, ttest_1samp, ttest_ind

COVERED = 0.5
"""Least share of a region's voxels that a scan must cover for the region to count."""
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
    groups = [scores_SR] if label is None else [scores_SR[label == 1], scores_SR[label == 0]]
    signs = [1.0] if label is None else [0.5, -0.5]
    value, drawn = np.zeros((1, scores_SR.shape[1])), np.zeros((resamples, scores_SR.shape[1]))
    for sign, group in zip(signs, groups, strict=True):
        value += sign * _mean(np.ones((1, len(group))), group)
        drawn += sign * _mean(_draws(len(group), resamples, rng), group)
    low, high = np.full((2, value.shape[1]), np.nan)
    if (known := ~np.isnan(value[0])).any():
        low[known], high[known] = np.nanquantile(drawn[:, known], (0.025, 0.975), axis=0)
    table = pd.DataFrame({"importance": value[0], "ci_low": low, "ci_high": high, "p_fdr": _p_fdr(groups)})
    table["rank"] = table["importance"].rank(ascending=False, method="min").astype("Int64")
    return table


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
    counted = np.where(coverage_SR >= COVERED, scores_SR, np.nan)
    table = regions.reset_index(drop=True).assign(method=method, coverage=coverage_SR.mean(axis=0))
    return pd.concat([table, importance(counted, label, resamples, rng)], axis=1)[REGION_COLUMNS]


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
        columns.append(_mean(weight_SR[:, here], scores_SR[:, here], paired=True))
        covered = float(coverage_SR[:, here].mean(axis=0) @ voxels[here] / max(voxels[here].sum(), 1))
        rows.append({"system": system, "method": method, "n_voxels": int(voxels[here].sum()), "coverage": covered})
    scores = np.stack(columns, axis=1)
    return pd.concat([pd.DataFrame(rows), importance(scores, label, resamples, rng)], axis=1)[SYSTEM_COLUMNS]


def _mean(weight: NDArray[np.float64], values: NDArray[np.float64], paired: bool = False) -> NDArray[np.float64]:
    """Weighted mean over what is known: weights (D, S) over rows (S, R), or `paired` (S, M) along each row."""
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    total = (weight * filled).sum(axis=1) if paired else weight @ filled
    count = (weight * known).sum(axis=1) if paired else weight @ known
    return np.where(count > 0, total / np.where(count > 0, count, 1), np.nan)


def _draws(subjects: int, resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How often each subject is drawn in each resample, shape (resamples, S); a label may have no subject."""
    if subjects == 0:
        return np.zeros((resamples, 0))
    return rng.multinomial(subjects, np.full(subjects, 1 / subjects), size=resamples).astype(float)


def _p_fdr(groups: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """One-sided t-test (above 0, or label 1 above label 0), Benjamini-Hochberg over regions; NaN without a spread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # too few subjects, or all with one score
        if len(groups) == 1:
            p = ttest_1samp(groups[0], 0, nan_policy="omit", alternative="greater").pvalue
        else:
            p = ttest_ind(*groups, equal_var=False, nan_policy="omit", alternative="greater").pvalue
    p = np.asarray(np.ma.filled(p, np.nan), dtype=float)
    adjusted = np.full(p.shape, np.nan)
    known = ~np.isnan(p)
    if known.any():
        adjusted[known] = false_discovery_control(p[known])
    return adjusted
