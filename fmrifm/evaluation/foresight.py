"""How well a pretrained model predicts the next volumes of held-out scans, voxel by voxel and as region means.

Axes: U subjects, S scans, m stretches, T volumes, O origins (volumes from which is predicted), H volumes ahead, V brain
voxels, R regions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.errors import DataError
from fmrifm.evaluation.metrics import Score, skill, summed_by_subject
from fmrifm.evaluation.series import Stretches, averages
from fmrifm.model.foresight import NextHead, forecast_errors
from fmrifm.model.mae import MaskedAutoencoder

_RESAMPLES = 1000
_WINDOWS_AT_ONCE = 8


class RegionForecasts(NamedTuple):
    """What a pretrained model expects of region means."""

    x: Tensor
    """In the scale of the stretches, shape (m, O, H, R)."""
    origin: NDArray[np.intp]
    """Last volume known, counted in the stretch, shape (O,)."""


@torch.no_grad()
def foresight_scores(
    model: MaskedAutoencoder, windows: Windows, subjects: NDArray[np.str_], seed: int
) -> dict[str, Score]:
    """Skill over persistence, 1 - error / error of the last volume seen, at each volume ahead, over all voxels.

    Args:
        model: Has a head that predicts.
        windows: Held-out scans; the first volumes of each window's last time patch are predicted.
        subjects: Subject of each scan.
        seed: Seed of the resamples.

    Returns:
        skill_next_h1 to skill_next_hH, with intervals over subjects.
    """
    errors, chunks = [], torch.arange(len(model.tokenizer.region))
    for scan in range(len(windows)):
        batch = windows.batch(windows.cover(scan))
        forecast = model.foresee(batch.signal, batch.covered, batch.tr_s, chunks.expand(len(batch.signal), -1))
        errors.append(forecast_errors(forecast).double().numpy())
    ours, persistence = summed_by_subject(np.array(errors), subjects).transpose(1, 2, 0)
    rng = np.random.default_rng(seed)
    pairs = enumerate(zip(ours, persistence, strict=True), start=1)
    return {f"skill_next_h{ahead}": skill(*errors_S, _RESAMPLES, rng) for ahead, errors_S in pairs}


@torch.no_grad()
def region_forecasts(
    model: MaskedAutoencoder, store: Store, scans: pd.DataFrame, found: Stretches, at: Sequence[int], context: int
) -> RegionForecasts:
    """Predict region means of some stretches from every H-th volume on, each volume once.

    Args:
        model: Has a head that predicts.
        store: Where the scans are.
        scans: Scan table that the stretches were cut from.
        found: The stretches.
        at: Which of them.
        context: Volumes of a stretch that are never predicted.

    Raises:
        DataError: Stretches are not longer than the past that the model looks back on.
    """
    tokenizer, ahead = model.tokenizer, _head(model).ahead
    past, volumes = max(context, tokenizer.window - tokenizer.patch), found.x.shape[1]
    if volumes < past + ahead:
        raise DataError(
            f"{store.path}: a scan has {volumes} volumes without a gap, expected at least {past + ahead}: this model "
            f"predicts {ahead} from {past}. Leave out short scans, or give a checkpoint of a shorter window."
        )
    origin = np.arange(past - 1, volumes - ahead, ahead)
    region = tokenizer.region_of_voxel.numpy()
    made = []
    for number in at:
        row = scans.iloc[found.scan[number]]
        signal = torch.from_numpy(store.window(row["scan"], int(found.start[number]), volumes))
        parts = np.array_split(origin, -(-len(origin) // _WINDOWS_AT_ONCE))
        voxels = torch.cat([_foretold(model, signal, part, float(row["tr_s"])) for part in parts]).double().numpy()
        bold = voxels * store.deviation(row["scan"]) + store.mean(row["scan"])
        averaging = averages(store.covered(row["scan"]), region, tokenizer.regions)[found.kept]
        mean, deviation = (part[number] for part in found.scale)
        made.append((torch.from_numpy(bold @ averaging.T) - mean) / deviation)
    return RegionForecasts(torch.stack(made).float(), origin)


def _head(model: MaskedAutoencoder) -> NextHead:
    if model.next is None:
        raise ValueError("this model was not trained to predict the next volumes")
    return model.next


def _foretold(model: MaskedAutoencoder, signal: Tensor, origin: NDArray[np.intp], tr_s: float) -> Tensor:
    """Voxels after some origins of a stretch (T, V): (O, H, V), in its unit; what comes is not shown to the model."""
    tokenizer = model.tokenizer
    past = tokenizer.window - tokenizer.patch
    windows = torch.zeros(len(origin), tokenizer.window, signal.shape[1])
    for place, last in enumerate(origin):
        windows[place, :past] = signal[last + 1 - past : last + 1]
    chunks = torch.arange(len(tokenizer.region)).expand(len(origin), -1)
    everywhere = torch.ones(len(origin), signal.shape[1], dtype=torch.bool)
    forecast = model.foresee(windows, everywhere, torch.full((len(origin),), tr_s), chunks)
    return tokenizer.paint(forecast.prediction.permute(0, 3, 1, 2))
