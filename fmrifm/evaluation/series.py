"""Region means of a store's scans in stretches of equal length, scaled without looking ahead.

Axes: S scans, n stretches, T volumes, R regions, V brain voxels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from fmrifm.cerebellum.normalise import by_context, context_scale
from fmrifm.data.store import Store
from fmrifm.errors import DataError

COVERED = 0.5
"""Least share of a region's voxels that every scan must cover for the region to be predicted."""
_LEAST_TARGETS = 20


class Scale(NamedTuple):
    """Mean and deviation of each region over the first volumes of each stretch, shape (n, 1, R) each."""

    mean: Tensor
    deviation: Tensor


@dataclass(frozen=True, eq=False)
class Stretches:
    """What is predicted."""

    x: Tensor
    """Region means, scaled by the first `context` volumes of each stretch, shape (n, T, R)."""
    change: NDArray[np.float64]
    """Root mean square over voxels of what changed since the volume before, in z-units (DVARS, Power et al. 2012,
    doi:10.1016/j.neuroimage.2011.10.018), shape (n, T). Stores keep no displacement by volume: it stands for motion."""
    scan: NDArray[np.intp]
    """Position of each stretch's scan in the list of scans, shape (n,)."""
    start: NDArray[np.intp]
    """First volume of each stretch in its scan, shape (n,)."""
    scale: Scale
    """What brought region means, in BOLD, to the scale of `x`."""
    coverage: NDArray[np.float64]
    """Share of each region that each scan covers, shape (S, R')."""
    kept: NDArray[np.bool_]
    """True for the regions that every scan covers, shape (R',); R of them."""


def stretches(store: Store, scans: pd.DataFrame, region_of_voxel: NDArray[np.int64], context: int) -> Stretches:
    """Cut scans into stretches without a gap, as long as the scan allows that has the shortest one.

    Args:
        store: Where the scans are.
        scans: Which, with `scan` and `segments`.
        region_of_voxel: Number of the region of each voxel, shape (V,); R' where it has none.
        context: Volumes by which a stretch is scaled.

    Raises:
        DataError: A scan is too short, or no region is covered by all.
    """
    longest = scans["segments"].map(max)
    if (shortest := int(longest.min())) < context + _LEAST_TARGETS:
        key = scans["scan"].iloc[int(longest.argmin())]
        raise DataError(
            f"{store.path}: scan {key} has {shortest} volumes without a gap, expected at least "
            f"{context + _LEAST_TARGETS}. Lower --context, or prepare the store without it."
        )
    regions = int(region_of_voxel.max())  # voxels without a region have the last number
    parts, changes, owner, begins, coverage = [], [], [], [], []
    for number, (key, segments) in enumerate(zip(scans["scan"], scans["segments"], strict=True)):
        series, change, covered = _region_means(store, key, region_of_voxel, regions)
        coverage.append(covered)
        for start in _starts(segments, shortest):
            parts.append(series[start : start + shortest])
            changes.append(change[start : start + shortest])
            owner.append(number)
            begins.append(start)
    kept = np.all(np.array(coverage) >= COVERED, axis=0)
    if not kept.any():
        raise DataError(f"{store.path}: no region is covered by every scan. Leave out scans with little coverage.")
    bold = torch.from_numpy(np.stack(parts)[:, :, kept])
    return Stretches(
        x=by_context(bold, context).float(),
        change=np.stack(changes),
        scan=np.array(owner, dtype=np.intp),
        start=np.array(begins, dtype=np.intp),
        scale=Scale(*context_scale(bold, context)),
        coverage=np.array(coverage),
        kept=kept,
    )


def _starts(segments: Sequence[int], length: int) -> list[int]:
    """First volumes of stretches of that length inside segments, one after the other."""
    firsts = accumulate(segments[:-1], initial=0)
    return [
        first + start
        for first, segment in zip(firsts, segments, strict=True)
        for start in range(0, segment - length + 1, length)
    ]


def _region_means(
    store: Store, key: str, region_of_voxel: NDArray[np.int64], regions: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean BOLD of each region over time (T, R'), change of the volumes (T,), and coverage (R',)."""
    signal, mean, deviation = store.window(key), store.mean(key), store.deviation(key)
    covered = deviation > 0
    averaging = averages(covered, region_of_voxel, regions)
    voxels = np.bincount(region_of_voxel, minlength=regions + 1)[:regions]
    count = (averaging > 0).sum(axis=1)
    bold = (signal * deviation + mean) @ averaging.T
    steps = np.sqrt(np.square(np.diff(signal[:, covered], axis=0)).mean(axis=1))
    return bold, np.concatenate([[np.nan], steps]), count / np.maximum(voxels, 1)


def averages(covered: NDArray[np.bool_], region_of_voxel: NDArray[np.int64], regions: int) -> NDArray[np.float64]:
    """Weights (R', V) that take the mean of each region's covered voxels; 0 for a region without any."""
    of_region = np.zeros((regions, len(covered)))
    inside = covered & (region_of_voxel < regions)
    of_region[region_of_voxel[inside], np.flatnonzero(inside)] = 1
    return np.asarray(of_region / np.maximum(of_region.sum(axis=1, keepdims=True), 1))
