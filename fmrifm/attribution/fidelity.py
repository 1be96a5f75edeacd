"""Reconstruction fidelity: hide one region, see how well it is predicted from the rest.

Axes: S scans, B windows, N tokens, R regions on the grid.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import default_collate

from fmrifm.data.windows import Place, Window, Windows
from fmrifm.masking import hide_regions
from fmrifm.model.draws import Draw
from fmrifm.model.explained import squares
from fmrifm.model.mae import MaskedAutoencoder

_BATCH = 16
"""Windows a forward pass."""


@torch.no_grad()
def region_fidelity(
    model: MaskedAutoencoder, windows: Windows, places: Sequence[Place]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Hide each region in turn, whole and at all times, and measure its voxel R2.

    Args:
        model: The pretrained model.
        windows: Where the windows are read.
        places: Which windows.

    Yields:
        For each batch of windows the scan of each, shape (B,), and the squares left and to explain in each
        region, shape (B, R, 2).
    """
    model.eval()
    device = next(model.parameters()).device
    for start in range(0, len(places), _BATCH):
        batch = Window(
            *(part.to(device) for part in default_collate([windows[p] for p in places[start : start + _BATCH]]))
        )
        yield batch.scan.cpu().numpy(), _hide_each(model, batch)


def _hide_each(model: MaskedAutoencoder, batch: Window) -> NDArray[np.float64]:
    tokenizer = model.tokenizer
    tokens = tokenizer.split(batch.signal)
    coefficients = tokenizer.project(tokens)
    pool = tokenizer.pool
    columns = []
    for region in range(tokenizer.regions):
        hidden_N = hide_regions(pool, [region])
        drawn = Draw(*(torch.nonzero(chosen).T.expand(len(tokens), -1) for chosen in (~hidden_N, hidden_N)))
        result = model.reconstruct(tokens, coefficients, batch.covered, batch.tr_s, drawn)
        parts = squares(result, tokenizer)
        columns.append(torch.stack([parts.voxel_left[:, region], parts.voxel_total[:, region]], dim=-1))
    return torch.stack(columns, dim=1).double().cpu().numpy()


def r2_by_scan(parts: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]], scans: int) -> NDArray[np.float64]:
    """Add windows up by scan and turn squares into R2, shape (S, R); NaN where a scan has no signal in a region."""
    total = np.zeros((scans, *parts[0][1].shape[1:]))
    for scan, sums in parts:
        np.add.at(total, scan, sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total[..., 1] > 0, 1 - total[..., 0] / total[..., 1], np.nan)
