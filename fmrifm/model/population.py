"""The population prior: what to expect of hidden tokens where only the average brain is known.

Voxels of everybody's brain move together in the same networks. The principal components of the
training scans say how; the best linear guess of hidden voxels is then their conditional mean
given the visible ones (probabilistic PCA: Tipping and Bishop 1999, J. R. Stat. Soc. B 61, 611).
The decoder starts there, so that the network learns what the average brain does not tell.

Axes: B windows, N tokens = T patches * K chunks, M coefficients, p volumes of a patch, Q queries,
C components, S volumes of a sample.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor, nn

from fmrifm.model.draws import Draw, take

NOISE_IS_SHARED = 2.0
"""Neighbouring chunks share their noise, so each counts as if it had twice its own: on held-out painted scans region
means hidden whole were predicted at R2 .166 with it and .144 without, single tokens equally well."""

VOLUMES_A_COMPONENT = 3
"""A sample of few volumes carries few components; more would describe its noise."""


class PopulationPrior(nn.Module):
    """Predicts hidden tokens, volume by volume, from a covariance that is the same for everybody.

    It is fitted, not trained, and predicts 0 until then.

    Args:
        chunks: K.
        terms: M, coefficients of a chunk.
        components: C, principal components.
    """

    loadings: Tensor
    precision: Tensor

    def __init__(self, chunks: int, terms: int, components: int) -> None:
        super().__init__()
        self.register_buffer("loadings", torch.zeros(chunks, terms, components))
        self.register_buffer("precision", torch.zeros(chunks, terms))

    def fit(self, sample: NDArray[np.floating], voxels: Tensor, seed: int) -> None:
        """Learn the covariance.

        Args:
            sample: Coefficients of volumes of many scans, shape (S, K, M), float, at least two volumes.
            voxels: Voxels in each chunk, shape (K,): a coefficient speaks for as many.
            seed: Seed of the randomised decomposition.
        """
        components = max(1, min(self.loadings.shape[2], len(sample) // VOLUMES_A_COMPONENT))
        weight = voxels.sqrt()[:, None]
        flat = (sample * weight.numpy()).reshape(len(sample), -1)
        pca = PCA(min(components, flat.shape[1]), svd_solver="randomized", random_state=seed).fit(flat)
        scale = torch.from_numpy(pca.explained_variance_ - pca.noise_variance_).clamp(min=0).sqrt()
        loadings = (torch.from_numpy(pca.components_) * scale[:, None]).T.unflatten(0, sample.shape[1:])
        self.loadings.zero_()
        self.loadings[..., : len(scale)] = loadings / weight[..., None]
        variance = torch.from_numpy(sample.var(axis=0))
        left = (variance - self.loadings.square().sum(dim=-1)) / (1 - len(scale) / len(sample))
        # A term that a small chunk does not have never varies.
        usable = left > 1e-3 * variance.mean()
        self.precision.copy_(usable / (NOISE_IS_SHARED * left.clamp(min=1e-6)))

    def forward(self, coefficients: Tensor, drawn: Draw) -> Tensor:
        """Conditional mean of the queried tokens, in float32.

        Args:
            coefficients: Of all tokens, shape (B, N, M, p); only visible ones are read.
            drawn: What is visible and what is asked.

        Returns:
            Shape (B, Q, M, p).
        """
        with torch.autocast(coefficients.device.type, enabled=False):
            return self._conditional_mean(take(coefficients, drawn.visible).float(), drawn)

    def _conditional_mean(self, seen: Tensor, drawn: Draw) -> Tensor:
        chunks, _, components = self.loadings.shape
        patch, chunk = drawn.visible // chunks, drawn.visible % chunks
        has_signal = (seen != 0).any(dim=-1)  # where a scan is not covered, 0 is no observation
        precision = (self.precision[chunk] * has_signal).flatten(1)
        loadings, values = self.loadings[chunk].flatten(1, 2), seen.flatten(1, 2)
        scores = []
        for number in range(int(max(drawn.visible.max(), drawn.query.max())) // chunks + 1):
            here = precision * (patch == number).repeat_interleave(seen.shape[2], dim=1)
            weighted = (loadings * here[..., None]).mT
            identity = torch.eye(components, device=seen.device)
            scores.append(torch.linalg.solve(weighted @ loadings + identity, weighted @ values))
        asked = torch.stack(scores, dim=1)[torch.arange(len(seen), device=seen.device)[:, None], drawn.query // chunks]
        return self.loadings[drawn.query % chunks] @ asked
