"""Rivals of a reconstruction that need no network: hidden voxels filled in from visible ones.

Axes: S volumes of a sample, B windows, t volumes, V brain voxels, p volumes of a patch, C components.
"""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree
from sklearn.decomposition import PCA
from torch import Tensor

from fmrifm.data.windows import Window
from fmrifm.model.draws import Draw, take
from fmrifm.model.mae import Reconstruction
from fmrifm.model.tokens import Tokenizer


class FillIn(Protocol):
    """Guesses the voxels that are not seen."""

    def __call__(self, volumes: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Volumes (p, V), of which voxels (V,) are seen, to guesses of the others, in the order of the voxels."""


class NearestCopy:
    """Copies the nearest voxel that is seen.

    Args:
        coordinates_mm: Positions of the voxels, shape (V, 3).
    """

    def __init__(self, coordinates_mm: NDArray[np.floating]) -> None:
        self.coordinates_mm = coordinates_mm

    def __call__(self, volumes: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
        """See `FillIn`; where nothing is seen, the temporal mean."""
        if not seen.any():
            return np.zeros_like(volumes)
        _, nearest = KDTree(self.coordinates_mm[seen]).query(self.coordinates_mm[~seen])
        return volumes[:, seen][:, nearest]


class PcaFillIn:
    """Fits component scores to the voxels that are seen, by least squares, and reads off the others.

    Args:
        pca: Fitted to volumes (S, V) of training scans.
        components: How many of its components are used.
    """

    def __init__(self, pca: PCA, components: int) -> None:
        self.mean = pca.mean_
        self.components = pca.components_[:components]

    def __call__(self, volumes: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
        """See `FillIn`."""
        known = self.components[:, seen]
        # The normal equations are a hundredth of the size of the problem, and as good: components are near orthogonal.
        scores = np.linalg.lstsq(known @ known.T, known @ (volumes - self.mean)[:, seen].T, rcond=None)[0]
        return (self.mean[~seen, None] + self.components[:, ~seen].T @ scores).T


def filled_in(fill_in: FillIn, tokenizer: Tokenizer, batch: Window, hidden: Tensor, drawn: Draw) -> Reconstruction:
    """Let a rival predict the drawn tokens; it sees every voxel of the pool that is not hidden and that a scan covers.

    Args:
        fill_in: The rival.
        tokenizer: Geometry of the tokens.
        batch: Windows.
        hidden: True where a token is hidden, shape (B, N).
        drawn: What is asked.
    """
    chunks = len(tokenizer.region)
    guessed = torch.zeros_like(batch.signal)
    for window in range(len(hidden)):
        for patch, hidden_K in enumerate(hidden[window].view(-1, chunks)):
            volumes = slice(patch * tokenizer.patch, (patch + 1) * tokenizer.patch)
            seen = torch.zeros(tokenizer.voxels, dtype=torch.bool)
            seen[tokenizer.voxel[~hidden_K][tokenizer.valid[~hidden_K]]] = True
            seen &= batch.covered[window]
            values = batch.signal[window, volumes].masked_fill(~seen, 0.0).numpy()
            guessed[window, volumes][:, ~seen] = torch.from_numpy(fill_in(values, seen.numpy())).float()
    return Reconstruction(
        prediction=take(tokenizer.split(guessed), drawn.query),
        target=take(tokenizer.split(batch.signal), drawn.query),
        weight=tokenizer.countable(batch.covered, drawn.query),
        token=drawn.query,
    )
