"""Region by region: total and per-voxel scores, the labels apart, and left against right.

All figures of a region come from the same draws of subjects: the interval of a difference is twice
that of its half, and left and right are compared within each draw.

Axes: S subjects, R regions, D draws (the first is everyone once).
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmrifm.attribution.resampling import (
    adjusted,
    counted,
    difference_p,
    drawn_value,
    draws,
    estimate,
    known_mean,
    rank,
)

Array = NDArray[np.float64]
DETAIL_COLUMNS = [
    "index", "name", "system", "method", "n_voxels",
    "total", "total_low", "total_high", "mean", "mean_low", "mean_high", "rank_total", "rank_mean",
    "label_0", "label_1", "difference", "difference_low", "difference_high", "p", "p_fdr",
    "asymmetry", "asymmetry_low", "asymmetry_high", "correlation",
]  # fmt: skip


def region_details(
    regions: pd.DataFrame,
    totals_SR: Array | None,
    means_SR: Array,
    coverage_SR: Array,
    method: str,
    label: NDArray[np.generic] | None,
    site: NDArray[np.object_] | None,
    halves: bool,
    resamples: int,
    permutations: int,
    rng: np.random.Generator,
    correlation_R: Array | None = None,
) -> pd.DataFrame:
    """One row a region, as region_details.tsv holds it.

    Args:
        regions: Regions in the order of the columns of scores: index, name, system, n_voxels.
        totals_SR: Score of the whole region; None where the method has none (fidelity).
        means_SR: Score per voxel.
        coverage_SR: Share of each region's voxels that each subject's scans cover.
        method: Name of the method.
        label: 1 or 0 of each subject. Subjects without (NaN or None), or with another one, count for means but not
            for differences.
        site: Of each subject: labels are shuffled within sites. None takes all subjects as of one site.
        halves: Whether the group value is half the difference between labels instead of the mean.
        resamples: Bootstrap draws over subjects, within each label where labels are compared.
        permutations: Shuffles of the labels; the smallest p is 1 / (1 + permutations).
        rng: Source of randomness. Group values of a fresh one have the intervals that `region_table` gives them.
        correlation_R: Mean Pearson r between predicted and true time courses (fidelity).

    Returns:
        Columns `DETAIL_COLUMNS`. Label means, difference and p are of the totals, or where there are none of the means.
    """
    label_S = _numbers(label, len(means_SR))
    site_S = np.zeros(len(means_SR), object) if site is None else np.asarray(site, object)
    members = [np.ones(len(means_SR), bool)] * (not halves) + [label_S == 1, label_S == 0]
    weights = [draws(side, resamples, rng) for side in members]
    one, zero = weights[-2:]
    group = (one, zero) if halves else weights[:1]
    mean_SR = counted(means_SR, coverage_SR)
    total_SR = np.full_like(mean_SR, np.nan) if totals_SR is None else counted(totals_SR, coverage_SR)
    compared_SR = mean_SR if totals_SR is None else total_SR
    labelled = (label_S == 1) | (label_S == 0)
    p = difference_p(compared_SR[labelled], label_S[labelled] == 1, site_S[labelled], permutations, rng)
    total_DR, mean_DR = drawn_value(total_SR, *group), drawn_value(mean_SR, *group)
    one_DR, zero_DR = known_mean(one, compared_SR), known_mean(zero, compared_SR)
    found = {
        **_columns("total", total_DR), **_columns("mean", mean_DR),
        "rank_total": rank(total_DR[0]), "rank_mean": rank(mean_DR[0]),
        "label_0": zero_DR[0], "label_1": one_DR[0], **_columns("difference", one_DR - zero_DR),
        "p": p, "p_fdr": adjusted(p), **_columns("asymmetry", _asymmetry(mean_DR, regions["name"].tolist())),
        "correlation": np.full(len(regions), np.nan) if correlation_R is None else correlation_R,
    }  # fmt: skip
    return regions.reset_index(drop=True).assign(method=method, **found)[DETAIL_COLUMNS]


def homologues(names: list[str]) -> NDArray[np.intp]:
    """Position of each region's counterpart in the other hemisphere, -1 without one; AAL3's names end in _L and _R."""
    place = {name: number for number, name in enumerate(names)}
    other = {"_L": "_R", "_R": "_L"}
    return np.array([place.get(name[:-2] + other.get(name[-2:], "?"), -1) for name in names], np.intp)


def _asymmetry(mean_DR: Array, names: list[str]) -> Array:
    """Each region minus its homologue: left minus right on the left, the same with the other sign on the right."""
    other = homologues(names)
    return np.where(other >= 0, mean_DR - mean_DR[:, other], np.nan)


def _columns(name: str, drawn_DR: Array) -> dict[str, Array]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), estimate(drawn_DR), strict=True))


def _numbers(label: NDArray[np.generic] | None, subjects: int) -> Array:
    if label is None:
        return np.full(subjects, np.nan)
    return pd.to_numeric(pd.Series(label)).to_numpy(float, na_value=np.nan)
