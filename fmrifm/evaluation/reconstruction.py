"""How well held-out scans are reconstructed, and a picture of it.

Axes: V brain voxels, N tokens, P voxels of a chunk, p volumes of a patch.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fmrifm.data.grid import Grid
from fmrifm.data.windows import Window, Windows
from fmrifm.evaluation.metrics import Score, skill, summed_by_subject
from fmrifm.masking import Masker
from fmrifm.model.draws import Draw, draw_tokens
from fmrifm.model.explained import squares
from fmrifm.model.mae import MaskedAutoencoder, Reconstruction

_RESAMPLES = 1000


Predict = Callable[[Window, Tensor, Draw], Reconstruction]
"""Predicts drawn tokens of windows whose hidden ones are True in a mask (B, N)."""


@torch.no_grad()
def reconstruction_scores(
    model: MaskedAutoencoder,
    windows: Windows,
    masker: Masker,
    subjects: NDArray[np.str_],
    seed: int,
    predict: Predict | None = None,
) -> dict[str, Score]:
    """R2 of hidden voxels and of region means against the temporal mean, over all windows of all scans.

    Args:
        model: The model to score.
        windows: Held-out scans.
        masker: What is hidden.
        subjects: Subject of each scan.
        seed: Seed of masks and resamples.
        predict: What predicts instead of the model, on its tokens.

    Returns:
        r2_voxel and r2_region, with intervals over subjects.
    """
    generator = torch.Generator().manual_seed(seed)
    sums = np.zeros((len(windows), 4))
    for scan in range(len(windows)):
        batch = windows.batch(windows.cover(scan))
        hidden = masker(len(batch.signal), generator)
        drawn = draw_tokens(hidden, generator)
        predicted = predict(batch, hidden, drawn) if predict else model(batch.signal, batch.covered, batch.tr_s, drawn)
        parts = squares(predicted, model.tokenizer)
        sums[scan] = [float(part.double().sum()) for part in parts]
    left, total, region_left, region_total = summed_by_subject(sums, subjects).T
    rng = np.random.default_rng(seed)
    return {
        "r2_voxel": skill(left, total, _RESAMPLES, rng),
        "r2_region": skill(region_left, region_total, _RESAMPLES, rng),
    }


@torch.no_grad()
def picture(
    model: MaskedAutoencoder, windows: Windows, masker: Masker, grid: Grid, seed: int
) -> dict[str, NDArray[Any]]:
    """One volume of the first scan: original, what was hidden, and the reconstruction (visible voxels as they are).

    Returns:
        original, reconstructed (X, Y, Z) in z units, hidden (X, Y, Z) bool, affine, volume.
    """
    generator = torch.Generator().manual_seed(seed)
    batch = windows.batch(windows.cover(0)[:1])
    hidden = masker(1, generator)
    result = model(batch.signal, batch.covered, batch.tr_s, draw_tokens(hidden, generator))
    tokens = model.tokenizer.split(batch.signal)
    reconstructed, where = tokens.clone(), torch.zeros_like(tokens)
    reconstructed[0, result.token[0]] = result.prediction[0]
    where[0, result.token[0]] = 1
    volume = model.tokenizer.patch // 2
    boxes = {
        name: np.asarray(grid.image(model.tokenizer.join(values)[0, volume].numpy()).dataobj)
        for name, values in (("original", tokens), ("reconstructed", reconstructed), ("hidden", where))
    }
    return {**boxes, "hidden": boxes["hidden"] > 0, "affine": grid.affine, "volume": np.array(volume)}
