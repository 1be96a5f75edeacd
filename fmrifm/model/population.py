"""The population prior: what to expect of hidden voxels where only the average brain is known.

Voxels of everybody's brain move together in the same networks. The principal components of the
training scans say how; the best linear guess of hidden voxels is then their conditional mean
given the visible ones (probabilistic PCA: Tipping and Bishop 1999, J. R. Stat. Soc. B 61, 611).
The decoder starts there, so that the network learns what the average brain does not tell.

Axes: B windows, T time patches, N tokens = T * K chunks, P voxels of a chunk (padded), p volumes of a patch,
V brain voxels, C components, Q queries, S volumes of a sample, n chunks that are chosen in a time patch.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor, nn

from fmrifm.model.draws import Draw
from fmrifm.model.tokens import Tokenizer

NOISE_IS_SHARED = 8.0
"""Neighbours share their noise, so each voxel counts as if it had so much more of its own. At 2, 4, 8, 16, R2 on
held-out painted scans was .172, .189, .193, .187 (regions hidden) and .260, .263, .259, .246 (tokens hidden); on the
last third of a real run .212, .214, .217, .218 and .233, .235, .236, .235."""
VOLUMES_A_COMPONENT = 1.5
"""A sample of few volumes carries few components: all of them would describe its noise too."""

LEAST_COVERED = 0.1
"""Nothing is expected of, or from, voxels that fewer of the training volumes cover than this share."""


class PopulationPrior(nn.Module):
    """Predicts hidden voxels, volume by volume, from a covariance that is the same for everybody.

    It is fitted, not trained, and predicts 0 until then.

    Args:
        voxels: V.
        components: C, principal components.
    """

    loadings: Tensor
    precision: Tensor

    def __init__(self, voxels: int, components: int) -> None:
        super().__init__()
        self.register_buffer("loadings", torch.zeros(voxels, components))
        self.register_buffer("precision", torch.zeros(voxels))

    def fit(self, sample: NDArray[np.float32], covered: NDArray[np.floating], seed: int) -> None:
        """Learn the covariance.

        Args:
            sample: Volumes of many scans, z-scored, shape (S, V), at least two; 0 where a scan is not covered. It is
                overwritten.
            covered: Share of the volumes in which each voxel is covered, shape (V,).
            seed: Seed of the randomised decomposition.
        """
        share = torch.from_numpy(covered).float().clamp(min=LEAST_COVERED)
        variance = torch.from_numpy(sample.var(axis=0)) / share
        most = min(len(sample) / VOLUMES_A_COMPONENT, sample.shape[1] / 2)
        count = max(1, min(self.loadings.shape[1], int(most)))
        pca = PCA(count, copy=False, svd_solver="randomized", random_state=seed).fit(sample)
        scale = torch.from_numpy(pca.explained_variance_ - pca.noise_variance_).clamp(min=0).sqrt()
        self.loadings.zero_()
        # A voxel that is 0 in half of the volumes seems to vary half as much with all others.
        self.loadings[:, :count] = (torch.from_numpy(pca.components_) * scale[:, None]).T / share[:, None]
        left = (variance - self.loadings.square().sum(dim=1)) / (1 - count / len(sample))
        known = torch.from_numpy(covered >= LEAST_COVERED) & (left > 1e-3 * variance.mean())
        self.precision.copy_(known / (NOISE_IS_SHARED * left.clamp(min=1e-6)))
        self.loadings *= torch.from_numpy(covered >= LEAST_COVERED)[:, None]

    def forward(self, tokens: Tensor, covered: Tensor, drawn: Draw, tokenizer: Tokenizer) -> Tensor:
        """Conditional mean of the queried tokens, in float32.

        Args:
            tokens: All tokens, shape (B, N, P, p); only visible ones are read.
            covered: True where the scan has signal, shape (B, V): elsewhere 0 is no observation.
            drawn: What is visible and what is asked.
            tokenizer: Where the voxels of a token are.

        Returns:
            Shape (B, Q, P, p); what stands in padded places means nothing.
        """
        with torch.autocast(tokens.device.type, enabled=False):
            scores = self._scores(tokens.to(self.loadings.dtype), covered, drawn.visible, tokenizer)
            chunks = len(tokenizer.voxel)
            window = torch.arange(len(tokens), device=tokens.device)[:, None]
            patch, voxel = drawn.query // chunks, tokenizer.voxel[drawn.query % chunks]
            scores = scores.unflatten(0, (len(tokens), -1))  # (B, T, C, p)
            if 4 * voxel[0].numel() < scores.shape[1] * tokenizer.voxels:  # few are asked for
                return self.loadings[voxel] @ scores[window, patch]
            return (self.loadings @ scores)[window[..., None], patch[..., None], voxel]

    def _scores(self, tokens: Tensor, covered: Tensor, visible: Tensor, tokenizer: Tokenizer) -> Tensor:
        """Mean scores of the components given the visible voxels of each time patch, shape (B * T, C, p)."""
        shown = visible_by_patch(visible, tokenizer)
        covered = covered.repeat_interleave(tokenizer.patches, dim=0)
        if 2 * shown.sum() <= shown.numel():
            told = self._told_by(shown, covered, tokenizer)
        else:  # few chunks are hidden: what all voxels tell, less what the hidden ones would
            told = self._told_by_all(covered, tokenizer) - self._told_by(~shown, covered, tokenizer)
        values = tokens.unflatten(1, (tokenizer.patches, -1)).flatten(0, 1)
        said = self._said(values, shown, covered, tokenizer)
        return torch.cholesky_solve(said, torch.linalg.cholesky(told + torch.eye(told.shape[1], device=told.device)))

    def _told_by(self, chosen: Tensor, covered: Tensor, tokenizer: Tokenizer) -> Tensor:
        """How much chosen chunks (B * T, K) tell of the scores: a precision, shape (B * T, C, C)."""
        chunk = chosen.byte().argsort(dim=1, descending=True, stable=True)[:, : int(chosen.sum(dim=1).max())]
        voxel = tokenizer.voxel[chunk].flatten(1)  # (B * T, n * P)
        there = (tokenizer.valid[chunk] & chosen.gather(1, chunk)[..., None]).flatten(1)
        loadings = self.loadings[voxel]
        return (loadings * (self.precision[voxel] * (there & covered.gather(1, voxel)))[..., None]).mT @ loadings

    def _told_by_all(self, covered: Tensor, tokenizer: Tokenizer) -> Tensor:
        """How much all voxels of the pool that are covered tell of the scores, shape (B * T, C, C)."""
        in_pool = torch.zeros_like(covered[0]).index_fill(0, tokenizer.voxel[tokenizer.valid], True)
        each, which = torch.unique(covered & in_pool, dim=0, return_inverse=True)  # few scans in a batch of windows
        told = [(self.loadings * (self.precision * row)[:, None]).T @ self.loadings for row in each]
        return torch.stack(told)[which]

    def _said(self, values: Tensor, shown: Tensor, covered: Tensor, tokenizer: Tokenizer) -> Tensor:
        """What visible voxels say of the scores, each by its precision: values (B * T, K, P, p) to (B * T, C, p)."""
        seen = shown[..., None] & tokenizer.valid & covered[:, tokenizer.voxel]
        # Filled, not multiplied with 0: what is hidden or not covered may hold anything.
        volumes = values.masked_fill(~seen[..., None], 0.0).flatten(1, 2).mT
        return (volumes @ (self.loadings * self.precision[:, None])[tokenizer.voxel].flatten(0, 1)).mT


def visible_by_patch(visible: Tensor, tokenizer: Tokenizer) -> Tensor:
    """Tell which chunks are among visible tokens (B, N visible): True there, shape (B * T, K)."""
    tokens = tokenizer.patches * len(tokenizer.region)
    shown = torch.zeros(len(visible), tokens, dtype=torch.bool, device=visible.device)
    return shown.scatter(1, visible, True).view(-1, len(tokenizer.region))
