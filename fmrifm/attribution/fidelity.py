"""Reconstruction fidelity: hide regions whole, see how well each is predicted from the rest.

The regions of a scan are dealt into a few groups at random; each group is hidden in turn, so that every region is
predicted once a window, from a brain that lacks few others. Encoding anew for every single region costs nine times
as much and ranks regions alike (docs/benchmarks.md). Who was hidden beside whom also tells what regions give to each
other (`contribution`).

Axes: S scans, n windows of a scan, t volumes, V brain voxels, N tokens, R regions on the grid, G groups.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fmrifm.data.windows import Window
from fmrifm.masking import Pool, hide_regions
from fmrifm.model.draws import Draw
from fmrifm.model.explained import region_means, squares
from fmrifm.model.mae import MaskedAutoencoder


class ScanFidelity(NamedTuple):
    """How well each region of one scan was predicted while its group was hidden."""

    group: NDArray[np.int64]
    """With whom each region was hidden, shape (R,)."""
    left: NDArray[np.float64]
    """Squared error over the region's voxels and all windows, shape (R,)."""
    total: NDArray[np.float64]
    """Squared signal of the same, shape (R,)."""
    moments: NDArray[np.float64]
    """Of the region mean's prediction p and truth y over volumes: n and the sums of p, y, p p, y y and p y, (R, 6)."""


@torch.no_grad()
def region_fidelity(model: MaskedAutoencoder, scan: Window, groups: int, rng: np.random.Generator) -> ScanFidelity:
    """Hide each group of regions in turn, whole and at all times, and measure how well its regions are predicted.

    Args:
        model: The pretrained model.
        scan: All windows of one scan, as a batch.
        groups: How many groups; as many as regions hides one at a time.
        rng: Deals the regions.
    """
    model.eval()
    tokenizer = model.tokenizer
    group = deal(tokenizer.pool, groups, rng)
    tokens = tokenizer.split(scan.signal)
    coefficients = tokenizer.project(tokens)
    sums = np.zeros((tokenizer.regions, 8))
    for members in (np.flatnonzero(group == number) for number in np.unique(group)):
        hidden_N = hide_regions(tokenizer.pool, members.tolist())
        drawn = Draw(*(torch.nonzero(chosen).T.expand(len(tokens), -1) for chosen in (~hidden_N, hidden_N)))
        result = model.reconstruct(tokens, coefficients, scan.covered, scan.tr_s, drawn)
        parts, means = squares(result, tokenizer), region_means(result, tokenizer)
        predicted, true, seen = means.prediction, means.target, (means.voxels > 0)[..., None].expand_as(means.target)
        columns = [seen.to(true), predicted, true, predicted.square(), true.square(), predicted * true]
        moments = torch.stack([values.double().sum(dim=(0, 1, 3)) for values in columns], dim=1)
        voxels = torch.stack([values.double().sum(dim=0) for values in (parts.voxel_left, parts.voxel_total)], dim=1)
        sums[members] = torch.cat([voxels, moments], dim=1).cpu().numpy()[members]
    return ScanFidelity(group, sums[:, 0], sums[:, 1], sums[:, 2:])


def deal(pool: Pool, groups: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal regions into groups of nearly equal size in voxels, at random: group of each region, shape (R,)."""
    voxels = pool.counts.sum(dim=1).cpu().numpy()
    filled, group = np.zeros(min(groups, len(voxels))), np.zeros(len(voxels), np.int64)
    for region in sorted(rng.permutation(len(voxels)).tolist(), key=lambda number: -voxels[number]):
        emptiest = np.flatnonzero(filled == filled.min())
        group[region] = rng.choice(emptiest)
        filled[group[region]] += voxels[region]
    return group


def r2(left: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 - left / total; NaN where there is no signal."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, 1 - left / total, np.nan)


def correlation(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's r of prediction and truth from their moments (..., 6); NaN where one of them is constant."""
    n, p, y, pp, yy, py = np.moveaxis(moments, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = (pp - p * p / n).clip(min=0) * (yy - y * y / n).clip(min=0)
        return np.where(spread > 0, (py - p * y / n) / np.sqrt(spread), np.nan)
