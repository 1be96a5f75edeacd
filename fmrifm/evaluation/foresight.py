"""How well a pretrained model predicts the next volumes of held-out scans.

Axes: U subjects, H volumes ahead.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import default_collate

from fmrifm.data.windows import Window, Windows
from fmrifm.evaluation.metrics import Score, bootstrap
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
    people, errors = np.unique(subjects), []
    chunks = torch.arange(len(model.tokenizer.region))
    for scan in range(len(windows)):
        batch = Window(*default_collate([windows[place] for place in windows.cover(scan)]))
        forecast = model.foresee(batch.signal, batch.covered, batch.tr_s, chunks.expand(len(batch.signal), -1))
        errors.append(forecast_errors(forecast).double().numpy())
    of_people = np.stack([np.sum(np.array(errors)[subjects == person], axis=0) for person in people])
    rng = np.random.default_rng(seed)

    def skill(ours: NDArray[np.float64], persistence: NDArray[np.float64]) -> Score:
        return bootstrap(lambda drawn: 1 - (drawn @ ours) / (drawn @ persistence), len(people), _RESAMPLES, rng)

    return {f"skill_next_h{ahead + 1}": skill(*of_people[:, :, ahead].T) for ahead in range(of_people.shape[2])}
