"""Stability of a ranking: do other subjects, judged by other classifiers, name the same regions?

Axes: S subjects, R regions.
"""

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmrifm.attribution.ranks import both_known, chance_overlap, overlap, spearman
from fmrifm.attribution.resampling import drawn_value

Array = NDArray[np.float64]
LEADING = 10
"""Regions whose overlap is told: about as many as a reader takes from a ranking."""
STABILITY_COLUMNS = ["method", "over", "a", "b", "n_a", "n_b", "spearman", "overlap", "chance", "k"]


def stability(
    scores_SR: Array,
    part_S: NDArray[np.generic],
    label_S: NDArray[np.generic] | None,
    method: str,
    over: str = "folds",
) -> pd.DataFrame:
    """Compare the rankings of every two parts, as rows of stability.tsv.

    Args:
        scores_SR: What the importance is made of, NaN where a region does not count (`resampling.counted`).
        part_S: Number of the fold in which each subject was tested; NaN for a subject of none. Over seeds, a row of
            scores is a subject as the classifiers of one seed see it.
        label_S: 1 or 0, where the importance is half their difference; None where it is a mean.
        method: Name of the method.
        over: What the parts are: `folds` or `seeds`.

    Returns:
        Columns `STABILITY_COLUMNS`; n counts the subjects of a part that have a score (and label 0 or 1), k is
        `LEADING`, or the regions known to both where they are fewer. Spearman and overlap are NaN where a part has
        no ranking, for instance no subject of one label.
    """
    part, asked = np.asarray(part_S, float), ~np.isnan(scores_SR).all(axis=1)
    sides = [asked] if label_S is None else [asked & (np.asarray(label_S, float) == side) for side in (1, 0)]
    numbers = [int(number) for number in np.unique(part[~np.isnan(part)])]
    members = {number: [side & (part == number) for side in sides] for number in numbers}
    size = {number: int(sum(side.sum() for side in members[number])) for number in numbers}
    ranking = {n: drawn_value(scores_SR, *(side[None].astype(float) for side in members[n]))[0] for n in numbers}
    rows = [
        {"a": a, "b": b, "n_a": size[a], "n_b": size[b], **agreement(ranking[a], ranking[b])}
        for a, b in combinations(numbers, 2)
    ]
    return pd.DataFrame(rows).assign(method=method, over=over).reindex(columns=STABILITY_COLUMNS)


def agreement(first_R: Array, second_R: Array) -> dict[str, float]:
    """Rank correlation, shared leading regions, what chance would share, and how many are leading (k)."""
    regions = len(both_known(first_R, second_R)[0])
    return {
        "spearman": spearman(first_R, second_R), "overlap": overlap(first_R, second_R, LEADING),
        "chance": chance_overlap(regions, LEADING), "k": min(LEADING, regions),
    }  # fmt: skip
