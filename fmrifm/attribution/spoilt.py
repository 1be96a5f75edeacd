"""Sanity of a ranking: what is left of it where nothing could have been learnt.

Axes: S subjects, R regions, H spoilt counterparts.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from fmrifm.attribution.ranks import spearman
from fmrifm.attribution.resampling import drawn_value

Array = NDArray[np.float64]


def group_value(scores_SR: Array, case_S: NDArray[np.bool_] | None) -> Array:
    """Importance of each region: the mean over subjects, or half the difference between labels, shape (R,)."""
    sides = [np.ones(len(scores_SR), bool)] if case_S is None else [case_S, ~case_S]
    return drawn_value(scores_SR, *(side[None].astype(float) for side in sides))[0]


def spoilt_checks(
    check: str, method: str, importance_R: Array, spoilt_HR: Array, planted_R: NDArray[np.bool_] | None
) -> pd.DataFrame:
    """Compare a ranking with its spoilt counterparts, as rows of checks.tsv.

    Args:
        check: `randomised_weights` or `permuted_labels`.
        method: Whose ranking.
        importance_R: Of each region, NaN where it does not count.
        spoilt_HR: The same of every spoilt counterpart.
        planted_R: True where a difference was planted, where that is known.

    Returns:
        Mean over the counterparts with its normal interval: the rank correlation with the ranking, and the AUC
        against what was planted.
    """
    rows = [_row(check, method, [spearman(importance_R, one) for one in spoilt_HR], expected=0.0)]
    if planted_R is not None and planted_R.any() and not planted_R.all():
        found = [_auc(planted_R, one) for one in spoilt_HR]
        rows.append(_row(f"planted_{check}", method, found, expected=0.5))
    return pd.DataFrame(rows)


def _row(check: str, method: str, values: Sequence[float], expected: float) -> dict[str, object]:
    known = np.array([value for value in values if not np.isnan(value)])
    value = known.mean() if len(known) else np.nan
    half = 1.96 * known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.nan
    return {
        "method": method, "check": check, "value": value, "low": value - half, "high": value + half,
        "expected": expected,
    }  # fmt: skip


def _auc(truth: NDArray[np.bool_], value: Array) -> float:
    known = ~np.isnan(value)
    return float(roc_auc_score(truth[known], value[known])) if 0 < truth[known].sum() < known.sum() else np.nan
