"""Sanity of a ranking: what else it could be, measured here, and what all checks say, in words.

Axes: R regions.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmrifm.attribution.ranks import both_known, spearman, spearman_interval

Array = NDArray[np.float64]
CHECK_COLUMNS = ["method", "check", "other", "value", "low", "high", "expected"]
FOLLOWS = 0.8
"""Rank correlation from which a ranking is said to be that of size or signal: they share two thirds of their
variance (.8^2 = .64), and less is left for anything that was learnt."""
UNCHANGED = 0.7
"""Rank correlation from which two rankings are said to agree: they share half of their variance (.7^2 = .49). A spoilt
model's ranking should share none, so it is judged by this and not by the higher figure."""
FOUND = 0.75
"""AUC, halfway from chance to certainty, from which a spoilt model is said to find what was planted."""
INCOMPLETE = 0.05
"""Relative error of integrated gradients that some hundred steps stay below (Sundararajan et al. 2017, section 5,
arXiv:1703.01365)."""
_SAME_QUESTION = ("occlusion", "integrated_gradients", "gradient_x_input", "connectome")
"""What tells the labels apart; other methods ask something else and need not agree."""
_CHECKS = {
    "planted_randomised_weights": "planted regions under random weights",
    "planted_permuted_labels": "planted regions under permuted labels", "randomised_weights": "randomised weights",
    "permuted_labels": "permuted labels", "deletion": "deletion", "insertion": "insertion", "size": "region size",
    "tsnr": "signal-to-noise", "completeness": "completeness",
}  # fmt: skip


def rank_check(
    method: str, check: str, first_R: Array, second_R: Array, other: str = "", expected: float = np.nan
) -> pd.DataFrame:
    """Spearman of two rankings with its interval, as a row of checks.tsv; regions unknown to one are left out."""
    rho = spearman(first_R, second_R)
    row = method, check, other, rho, *spearman_interval(rho, len(both_known(first_R, second_R)[0])), expected
    return pd.DataFrame([row], columns=CHECK_COLUMNS)


def size_checks(method: str, importance_R: Array, mean_R: Array | None, voxels_R: NDArray[np.integer]) -> pd.DataFrame:
    """Does a ranking follow the regions' number of voxels, as rows of checks.tsv.

    Args:
        method: Whose ranking.
        importance_R: Total score, or what the method has instead.
        mean_R: Score per voxel; None where it is the importance itself (fidelity), which then has one row, `size`.
        voxels_R: Voxels of each region.
    """
    size = voxels_R.astype(float)
    found = [rank_check(method, "size", importance_R, size)]
    return pd.concat([*found, *([] if mean_R is None else [rank_check(method, "size_mean", mean_R, size)])])


def tsnr_check(method: str, importance_R: Array, tsnr_R: Array) -> pd.DataFrame:
    """Does a ranking follow the median temporal signal-to-noise ratio of regions, as a row of checks.tsv."""
    return rank_check(method, "tsnr", importance_R, tsnr_R)


def agreement(importances: Mapping[str, Array]) -> pd.DataFrame:
    """Do methods rank alike, as rows of checks.tsv: one for every two of them, in their order."""
    pairs = combinations(importances, 2)
    rows = [rank_check(one, "agreement", importances[one], importances[two], other=two) for one, two in pairs]
    return pd.concat(rows) if rows else pd.DataFrame(columns=CHECK_COLUMNS)


def verdicts(checks: pd.DataFrame) -> list[str]:
    """Say in words what the checks found, the gravest doubts of a method first.

    Args:
        checks: Rows of checks.tsv. A check without a value, or that was not made, is not spoken of.

    Returns:
        Sentences for the terminal and for the head of a ranking. A method without a doubt gets one that names the
        checks that were made; agreement of the methods that explain the labels comes last.
    """
    said = []
    known = checks.dropna(subset=["value"])
    for method, rows in known[known["check"] != "agreement"].groupby("method", sort=False):
        found = {row["check"]: row for row in rows.to_dict("records")}
        name = str(method).replace("_", " ")
        whose = f"{name}'" if name.endswith("s") else f"{name}'s"
        doubts = [*_unlearnt(whose, found), *_unused(whose, found), *_confounded(whose, found)]
        made = ", ".join(words for check, words in _CHECKS.items() if check in found)
        said += doubts or ([f"no check speaks against {whose} ranking ({made})."] if made else [])
    return [sentence[0].upper() + sentence[1:] for sentence in [*said, *_agreements(known)]]


def _unlearnt(whose: str, found: Mapping[str, Mapping[Any, Any]]) -> list[str]:
    """Is the ranking still there where nothing, or nothing true, was learnt?"""
    said = []
    spoilt = {
        "permuted_labels": ("permuted labels", "the labels are permuted", "what tells the labels apart"),
        "randomised_weights": ("randomised weights", "the weights are randomised", "what was learnt"),
    }
    for check, (noun, _, _) in spoilt.items():
        row = found.get(f"planted_{check}")
        if row and row["value"] >= FOUND and not row["low"] <= 0.5:
            auc = _figure(row["value"])
            said.append(f"{whose} ranking finds the planted regions with {noun} as well (AUC {auc}): do not trust it.")
    for check, (_, event, lacking) in spoilt.items():
        if (row := found.get(check)) and row["value"] >= UNCHANGED:
            rho = _figure(row["value"])
            said.append(f"{whose} ranking changes little when {event} (Spearman {rho}): it does not show {lacking}.")
    return said


def _unused(whose: str, found: Mapping[str, Mapping[Any, Any]]) -> list[str]:
    """Does the classifier rely on the leading regions, and do the scores add up to what it says?"""
    said = []
    asked = {
        "deletion": f"silencing {whose} leading regions costs the classifier no more than silencing random ones",
        "insertion": f"keeping only {whose} leading regions serves the classifier no better than keeping random ones",
    }
    for check, words in asked.items():
        row = found.get(check)
        if row and (row["value"] if np.isnan(row["low"]) else row["low"]) <= 0:
            said.append(f"{words} (area between the curves {_figure(row['value'])}).")
    if (row := found.get("completeness")) and row["value"] > INCOMPLETE:
        said.append(
            f"{whose} scores miss up to {row['value']:.0%} of a scan's log-odds: the path is walked too coarsely."
        )
    return said


def _confounded(whose: str, found: Mapping[str, Mapping[Any, Any]]) -> list[str]:
    """Is the ranking that of something simpler?"""
    said = []
    follows = {check: _follows(row["value"]) for check, row in found.items() if abs(row["value"]) >= FOLLOWS}
    if "size" in follows:
        advice = (
            "compare regions of like size" if "size_mean" not in found
            else "read the per-voxel column" if "size_mean" not in follows
            else f"its per-voxel column {follows['size_mean'].format('it')}, and neither says more than size"
        )  # fmt: skip
        said.append(f"{whose} ranking {follows['size'].format('region size')}: {advice}.")
    elif "size_mean" in follows:
        said.append(f"{whose} per-voxel column {follows['size_mean'].format('region size')}: read the totals.")
    if "tsnr" in follows:
        words = follows["tsnr"].format("the temporal signal-to-noise ratio")
        said.append(f"{whose} ranking {words}: it may show no more than signal quality.")
    return said


def _agreements(known: pd.DataFrame) -> list[str]:
    rows = known[(known["check"] == "agreement") & known["method"].isin(_SAME_QUESTION)]
    verdict: dict[str, list[str]] = {"agree": [], "agree in part": [], "disagree": []}
    for row in rows[rows["other"].isin(_SAME_QUESTION)].to_dict("records"):
        word = how_alike(row["value"], row["low"])
        pair = f"{row['method']} with {row['other']}".replace("_", " ")
        verdict[word].append(f"{pair} (Spearman {_figure(row['value'])})")
    return [f"methods {word} on what tells the labels apart: {', '.join(p)}." for word, p in verdict.items() if p]


def how_alike(rho: float, low: float) -> str:
    """Say how far two rankings agree: their rank correlation, and the lower end of its interval or NaN."""
    if rho >= UNCHANGED:
        return "agree"
    return "disagree" if (rho if np.isnan(low) else low) <= 0 else "agree in part"


def _follows(rho: float) -> str:
    return f"{'follows' if rho > 0 else 'runs against'} {{}} (Spearman {_figure(rho)})"


def _figure(value: float) -> str:
    """Two digits without the leading zero."""
    return f"{value:.2f}".replace("-0.00", "0.00").replace("0.", ".", 1)
