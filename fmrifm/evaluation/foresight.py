"""How well a pretrained model predicts the next volumes of held-out scans.

Axes: U subjects, H volumes ahead.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from fmrifm.data.windows import Windows
from fmrifm.evaluation.metrics import Score, skill, summed_by_subject
from fmrifm.model.foresight import forecast_errors
from fmrifm.model.mae import MaskedAutoencoder

_RESAMPLES = 1000


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
