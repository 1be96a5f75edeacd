"""Region by region: total and per-voxel scores, the difference between labels, and left against right.

Axes: U subjects, R regions, P permutations.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from fmrifm.attribution.regions import importance
from fmrifm.attribution.shuffles import shuffle_within

Array = NDArray[np.float64]
DETAIL_COLUMNS = [
    "index", "name", "system", "method", "n_voxels",
    "total", "total_low", "total_high", "mean", "mean_low", "mean_high", "rank_total", "rank_mean",
    "label_0", "label_1", "difference", "difference_low", "difference_high", "p", "p_fdr",
    "asymmetry", "asymmetry_low", "asymmetry_high", "correlation",
]  # fmt: skip
_BLOCK = 1000
"""Permutations in memory at a time."""


def region_details(
    regions: pd.DataFrame,
    *,
    total: Array | None,
    mean: Array,
    subjects: pd.DataFrame,
    of_label: bool,
    method: str,
    correlation: Array | None,
    resamples: int,
    permutations: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """One row a region, as region_details.tsv holds it.

    Args:
        regions: Regions in the order of the columns of scores: index, name, system, n_voxels.
        total: Score of the whole region, (U, R), NaN where the subject lacks it; None where a method has none.
        mean: Score per voxel, (U, R).
        subjects: One row a subject: site, and label where there is one.
        of_label: Whether the group value is half the difference between labels.
        method: Name of the method.
        correlation: Of predicted and true time courses, (U, R), for fidelity.
        resamples: Bootstrap draws.
        permutations: Shuffles of the labels within sites.
        rng: Source of randomness.
    """
    label = _label(subjects)
    grouping = label.astype(np.int64) if of_label else None
    table = regions.reset_index(drop=True).assign(method=method)
    for name, scores in {"total": total, "mean": mean}.items():
        if scores is not None:
            found = importance(scores, grouping, resamples, rng)
            names = {"importance": name, "ci_low": f"{name}_low", "ci_high": f"{name}_high", "rank": f"rank_{name}"}
            table = pd.concat([table, found[list(names)].rename(columns=names)], axis=1)
    sides = importance(_left_minus_right(mean, regions["name"]), grouping, resamples, rng)
    table = table.assign(
        asymmetry=sides["importance"], asymmetry_low=sides["ci_low"], asymmetry_high=sides["ci_high"],
        correlation=np.nan if correlation is None else _mean(correlation),
    )  # fmt: skip
    known = ~np.isnan(label)
    if len(np.unique(label[known])) == 2:
        scores = (mean if total is None else total)[known]
        differences = label_differences(scores, label[known] > 0, subjects["site"][known], resamples, permutations, rng)
        table = pd.concat([table, differences], axis=1)
    return table.reindex(columns=DETAIL_COLUMNS)


def label_differences(
    scores_UR: Array, case: NDArray[np.bool_], site: pd.Series, resamples: int, permutations: int,
    rng: np.random.Generator,
) -> pd.DataFrame:  # fmt: skip
    """Cases against controls: means, difference with its bootstrap interval, permutation p (two-sided) and FDR.

    Args:
        scores_UR: Scores, NaN where unknown.
        case: True for cases, shape (U,).
        site: Site of each subject: labels are shuffled within sites, so that a site's level is no difference.
        resamples: Bootstrap draws, within each label.
        permutations: Shuffles; the smallest p is 1 / (1 + permutations).
        rng: Source of randomness.
    """
    half = importance(scores_UR, case.astype(np.int64), resamples, rng)
    observed = _difference(scores_UR, case[None].astype(float))[0]
    beyond, rounding = np.zeros(scores_UR.shape[1]), 1e-12 * np.nanmax(np.abs(scores_UR), initial=0)
    for start in range(0, permutations, _BLOCK):
        count = min(_BLOCK, permutations - start)
        drawn = np.stack([shuffle_within(case, site, rng) for _ in range(count)]).astype(float)
        # Where the same subjects are drawn again, sums in another order may fall short by rounding.
        beyond += (np.abs(_difference(scores_UR, drawn)) >= np.abs(observed) - rounding).sum(axis=0)
    p = np.where(np.isnan(observed), np.nan, (1 + beyond) / (1 + permutations))
    adjusted = np.full(p.shape, np.nan)
    if (known := ~np.isnan(p)).any():
        adjusted[known] = false_discovery_control(p[known])
    return pd.DataFrame(
        {
            "label_0": _mean(scores_UR[~case]), "label_1": _mean(scores_UR[case]), "difference": observed,
            "difference_low": 2 * half["ci_low"], "difference_high": 2 * half["ci_high"], "p": p, "p_fdr": adjusted,
        }
    )  # fmt: skip


def _difference(scores_UR: Array, case_PU: Array) -> Array:
    """Mean of cases minus mean of controls for each labelling, shape (P, R); NaN where one of them is unknown."""
    known = (~np.isnan(scores_UR)).astype(float)
    filled = np.where(known > 0, scores_UR, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        cases, controls = ((side @ filled) / (side @ known) for side in (case_PU, 1 - case_PU))
    return cases - controls


def _left_minus_right(mean_UR: Array, names: pd.Series) -> Array:
    """Each subject's score of a region minus that of its homologue, sign flipped on the right; NaN of others."""
    place = {name: column for column, name in enumerate(names)}
    found = np.full(mean_UR.shape, np.nan)
    for name, left in place.items():
        right = place.get(f"{name[:-2]}_R") if name.endswith("_L") else None
        if right is not None:
            found[:, left] = mean_UR[:, left] - mean_UR[:, right]
            found[:, right] = -found[:, left]
    return found


def _label(subjects: pd.DataFrame) -> Array:
    """1 for any label but 0, NaN where there is none."""
    if "label" not in subjects:
        return np.full(len(subjects), np.nan)
    label = subjects["label"].to_numpy(float)
    return np.where(np.isnan(label), np.nan, label > 0)


def _mean(scores_UR: Array) -> Array:
    known = ~np.isnan(scores_UR)
    return np.where(known.any(axis=0), np.nansum(scores_UR, axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)
