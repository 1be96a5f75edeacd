"""Stability of a ranking over folds: does each fold's classifier, on its own subjects, name the same regions?

Axes: U subjects, R regions.
"""

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmrifm.attribution.ranks import both_known, chance_overlap, overlap, spearman
from fmrifm.attribution.spoilt import group_value

LEADING = 10
"""Regions that a reader looks at."""
STABILITY_COLUMNS = ["method", "over", "a", "b", "n_a", "n_b", "spearman", "overlap", "chance", "k"]


def fold_stability(
    scores_UR: NDArray[np.float64], case: NDArray[np.bool_] | None, fold: NDArray[np.int64], method: str
) -> pd.DataFrame:
    """Compare the rankings of every two folds, as rows of stability.tsv.

    Args:
        scores_UR: Scores of subjects, NaN where a region does not count.
        case: True for cases, where the group value is their difference from controls.
        fold: In which fold each subject was tested.
        method: Name of the method.
    """
    rankings = {
        int(number): group_value(scores_UR[fold == number], None if case is None else case[fold == number])
        for number in np.unique(fold)
    }
    rows = []
    for a, b in combinations(rankings, 2):
        sizes = {"n_a": int((fold == a).sum()), "n_b": int((fold == b).sum())}
        rows.append({"over": "folds", "a": a, "b": b, **sizes, **agreement(rankings[a], rankings[b])})
    return pd.DataFrame(rows).assign(method=method).reindex(columns=STABILITY_COLUMNS)


def agreement(first_R: NDArray[np.float64], second_R: NDArray[np.float64]) -> dict[str, float]:
    """Rank correlation of two rankings, the share of leading regions that both name, and what chance would share."""
    regions = len(both_known(first_R, second_R)[0])
    return {
        "spearman": spearman(first_R, second_R),
        "overlap": overlap(first_R, second_R, LEADING),
        "chance": chance_overlap(regions, LEADING),
        "k": min(LEADING, regions),
    }
