"""What a ranking may be but should not: region size, signal quality, one method's whim; and verdicts in words.

Axes: R regions.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmrifm.attribution.ranks import spearman, spearman_interval

Array = NDArray[np.float64]
FOLLOWS = 0.8
"""Rank correlation from which a ranking is said to be something else: two thirds of the ranks' variance."""
_FINDS = 0.7
"""AUC against what was planted that a spoilt model should not reach."""
_SPOILT = {"randomised_weights": "weights are randomised", "permuted_labels": "labels are permuted"}
_NAMES = {"size": "region size", "tsnr": "temporal signal-to-noise"}


def ranking_checks(
    method: str, importance_R: Array, mean_R: Array, voxels_R: NDArray[np.int64], tsnr_R: Array | None
) -> pd.DataFrame:
    """Rank correlation of a ranking with region size, also per voxel, and with tSNR, as rows of checks.tsv."""
    size = voxels_R.astype(float)
    found = {"size": (importance_R, size), "size_mean": (mean_R, size)}
    if tsnr_R is not None:
        found["tsnr"] = (importance_R, tsnr_R)
    return pd.DataFrame([_row(method, check, "", *pair) for check, pair in found.items()])


def agreement_checks(rankings: Mapping[str, Array]) -> pd.DataFrame:
    """Rank correlation of every two methods, as rows of checks.tsv."""
    pairs = combinations(rankings, 2)
    return pd.DataFrame([_row(one, "agreement", other, rankings[one], rankings[other]) for one, other in pairs])


def verdicts(checks: pd.DataFrame) -> list[str]:
    """Say in words what the checks found; a ranking without a reason to doubt it is said to be one."""
    sentences = []
    for method, rows in checks[checks["check"] != "agreement"].groupby("method", sort=False):
        value: dict[str, float] = dict(zip(rows["check"], rows["value"], strict=True))
        low: dict[str, float] = dict(zip(rows["check"], rows["low"], strict=True))
        reasons = [*_confounded(value), *_unlearnt(value), *_unheard(low)]
        name = str(method).replace("_", " ").capitalize()
        if reasons:
            sentences.append(f"{name}: {'; '.join(reasons)}.")
        elif {"randomised_weights", "permuted_labels"} <= value.keys():
            sentences.append(f"{name}: no check speaks against it.")
    return sentences


def _confounded(value: Mapping[str, float]) -> list[str]:
    advice = {"size": "; read the per-voxel column", "tsnr": ""}
    return [
        f"the ranking follows {name} (rank correlation {value[check]:.2f}){advice[check]}"
        for check, name in _NAMES.items()
        if abs(value.get(check, 0)) >= FOLLOWS
    ]


def _unlearnt(value: Mapping[str, float]) -> list[str]:
    reasons = []
    for check, words in _SPOILT.items():
        if value.get(check, 0) >= FOLLOWS:
            reasons.append(f"it hardly changes when {words} ({value[check]:.2f}), so it is not what was learnt")
        if value.get(planted := f"planted_{check}", 0) >= _FINDS:
            reasons.append(f"it finds what was planted also when {words} (AUC {value[planted]:.2f})")
    return reasons


def _unheard(low: Mapping[str, float]) -> list[str]:
    if low.get("deletion", 1) > 0:
        return []
    return ["silencing its leading regions costs the classifier no more than silencing others"]


def _row(method: str, check: str, other: str, first: Array, second: Array) -> dict[str, object]:
    rho = spearman(first, second)
    low, high = spearman_interval(rho, int((~np.isnan(first) & ~np.isnan(second)).sum()))
    return {"method": method, "check": check, "other": other, "value": rho, "low": low, "high": high}
