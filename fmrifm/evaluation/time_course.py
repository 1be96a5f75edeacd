"""One region's time course in a held-out scan: hidden whole, predicted from all others.

Axes: B windows of the scan's longest stretch, N tokens, R regions, T time patches, p volumes of a patch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fmrifm.data.windows import Window, Windows
from fmrifm.masking import hide_regions
from fmrifm.model.draws import Draw
from fmrifm.model.explained import region_means
from fmrifm.model.mae import MaskedAutoencoder

_GROUPS = 8
"""Groups of regions that are hidden in turn to find the best-known one."""


@torch.no_grad()
def time_course(
    model: MaskedAutoencoder, windows: Windows, names: Sequence[str], seed: int
) -> dict[str, NDArray[Any] | str | float]:
    """Predict the region of the first scan that is predicted best, hidden alone over the scan's longest stretch.

    Args:
        model: The model to ask.
        windows: Held-out scans; only the first is read.
        names: Of the regions, in the order of the model's region numbers.
        seed: Deals the regions into groups, to find the best.

    Returns:
        region, true and predicted (t,) in z-scored BOLD (region mean), tr_s, correlation and r2 against the mean.
    """
    batch = _longest_stretch(windows)
    group_R = np.random.default_rng(seed).permutation(len(names)) % _GROUPS
    skill_R = np.full(len(names), -np.inf)
    for members in (np.flatnonzero(group_R == number).tolist() for number in np.unique(group_R)):
        true, predicted = _courses(model, batch, members)
        skill_R[members] = [_r2(true[region], predicted[region]) for region in members]
    best = int(np.argmax(skill_R))
    true, predicted = (courses[best] for courses in _courses(model, batch, [best]))
    spread = np.ptp(true) > 0 and np.ptp(predicted) > 0
    return {
        "region": names[best],
        "true": true,
        "predicted": predicted,
        "tr_s": float(batch.tr_s[0]),
        "correlation": float(np.corrcoef(true, predicted)[0, 1]) if spread else np.nan,
        "r2": _r2(true, predicted),
    }


def _longest_stretch(windows: Windows) -> Window:
    """Windows one after the other, without the overlap and the gaps that those of a whole scan may have."""
    lengths = windows.segments[0]
    longest = int(np.argmax(lengths))
    first, volumes = sum(lengths[:longest]), windows.volumes
    starts = range(first, first + lengths[longest] - volumes + 1, volumes)
    return windows.batch((0, start) for start in starts)


def _courses(
    model: MaskedAutoencoder, batch: Window, members: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """True and predicted region means while some regions are hidden, each of shape (R, t)."""
    hidden_N = hide_regions(model.tokenizer.pool, members)
    drawn = Draw(*(torch.nonzero(chosen).T.expand(len(batch.signal), -1) for chosen in (~hidden_N, hidden_N)))
    means = region_means(model(batch.signal, batch.covered, batch.tr_s, drawn), model.tokenizer)
    true, predicted = (
        values.permute(2, 0, 1, 3).flatten(1).double().numpy() for values in (means.target, means.prediction)
    )
    return true, predicted


def _r2(true: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    """1 - left / total; minus infinity where there is no signal to predict."""
    total = np.square(true).sum()
    return float(1 - np.square(true - predicted).sum() / total) if total > 0 else -np.inf
