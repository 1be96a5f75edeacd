"""Tokens: a chunk over a time patch, and the maps between a window and its tokens.

Axes: B windows, t volumes, V brain voxels; T time patches, K chunks, N = T * K tokens
(time-major), P voxels of a chunk (padded), p volumes of a patch, M basis coefficients, R regions.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from fmrifm.atlas import Atlas, grow_labels
from fmrifm.config import TokensConfig
from fmrifm.data.grid import Grid
from fmrifm.masking import Pool
from fmrifm.model.chunks import Chunks, cut_chunks, cut_patches


class Tokenizer(nn.Module):
    """Turns windows into tokens and back; holds geometry, nothing that is learnt.

    Args:
        chunks: How the pool is tiled.
        window: Volumes in a window.
        patch: Volumes in a token; divides the window.
        voxels: V, brain voxels of the grid.
        systems: System of each region by its atlas value; without it every region is one of its own.
    """

    voxel: Tensor
    valid: Tensor
    basis: Tensor
    centre_mm: Tensor
    region_of_place: Tensor
    """Region number of each place in a chunk, shape (K, P); R where padded."""
    counts: Tensor
    """Voxels of each region in each chunk, shape (R, K)."""
    system: Tensor
    """System number of each region, shape (R,)."""

    def __init__(
        self, chunks: Chunks, *, window: int, patch: int, voxels: int, systems: Mapping[int, str] | None = None
    ) -> None:
        super().__init__()
        self.window = window
        self.patch = patch
        self.patches = window // patch
        self.voxels = voxels
        self.values = np.unique(chunks.label[chunks.valid])
        """Atlas value of each region, shape (R,): what a region number means."""
        region = np.where(chunks.valid, np.searchsorted(self.values, chunks.label), len(self.values))
        names = self.values if systems is None else [systems[value] for value in self.values.tolist()]
        for name, values in {
            "voxel": chunks.voxel,
            "valid": chunks.valid,
            "basis": chunks.basis,
            "centre_mm": chunks.centre_mm,
            "region_of_place": region,
            "counts": (region == np.arange(len(self.values))[:, None, None]).sum(axis=2),
            "system": np.unique(names, return_inverse=True)[1],
        }.items():
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    @property
    def regions(self) -> int:
        """R, regions that have a voxel in the pool."""
        return len(self.values)

    @property
    def region(self) -> Tensor:
        """Region that most voxels of each chunk have, shape (K,)."""
        return self.pool.region

    @property
    def region_of_voxel(self) -> Tensor:
        """Region number of each brain voxel, shape (V,); R where a voxel is not in the pool."""
        region = torch.full((self.voxels,), self.regions, device=self.voxel.device)
        region[self.voxel[self.valid]] = self.region_of_place[self.valid]
        return region

    @property
    def pool(self) -> Pool:
        """What a masker may hide."""
        return Pool(counts=self.counts, system=self.system, centre_mm=self.centre_mm, patches=self.patches)

    def split(self, signal: Tensor) -> Tensor:
        """Cut windows into tokens: (B, t, V) to (B, N, P, p), 0 where a chunk is padded."""
        # Filled, not multiplied by 0: a padded place points at voxel 0, which may be hidden and hold anything.
        values = signal[:, :, self.voxel].masked_fill(~self.valid, 0.0)
        return values.unflatten(1, (self.patches, self.patch)).permute(0, 1, 3, 4, 2).flatten(1, 2)

    def join(self, tokens: Tensor) -> Tensor:
        """Put tokens back: (B, N, P, p) to (B, t, V), 0 outside the pool. The inverse of `split`."""
        return self.paint(tokens.unflatten(1, (self.patches, -1)).permute(0, 1, 4, 2, 3).flatten(1, 2))

    def paint(self, chunks: Tensor) -> Tensor:
        """Put values of all chunks at their voxels: (B, t, K, P) to (B, t, V), 0 outside the pool."""
        signal = chunks.new_zeros(*chunks.shape[:2], self.voxels)
        signal[:, :, self.voxel[self.valid]] = chunks[..., self.valid]
        return signal

    def project(self, tokens: Tensor) -> Tensor:
        """Coefficients of each token's best quadratic: (B, N, P, p) to (B, N, M, p), of all or fewer time patches."""
        values = tokens.unflatten(1, (-1, len(self.voxel)))
        weight = self.basis / self.valid.sum(dim=1)[:, None, None]
        return torch.einsum("btkpv,kpm->btkmv", values, weight).flatten(1, 2)

    def describe(self, tokens: Tensor, token: Tensor) -> Tensor:
        """As `project`, of chosen tokens (B, Q): values (B, Q, P, p) to (B, Q, M, p)."""
        chunk = token % len(self.region)
        weight = self.basis[chunk] / self.valid[chunk].sum(dim=2)[..., None, None]
        return torch.einsum("bqpv,bqpm->bqmv", tokens, weight)

    def expand(self, coefficients: Tensor, token: Tensor) -> Tensor:
        """Voxel values of chosen tokens: coefficients (B, Q, M, p) of tokens (B, Q) to (B, Q, P, p)."""
        return torch.einsum("bqmv,bqpm->bqpv", coefficients, self.basis[token % len(self.basis)])

    def countable(self, covered: Tensor, token: Tensor) -> Tensor:
        """True where a place of tokens (B, Q) holds a voxel that the scan covers (B, V), shape (B, Q, P)."""
        chunk = token % len(self.voxel)
        in_scan = covered.gather(1, self.voxel[chunk].flatten(1)).view(*token.shape, -1)
        return self.valid[chunk] & in_scan

    def places(self, tr_s: Tensor) -> Tensor:
        """Centres of all tokens in millimetres and seconds: repetition times (B,) to (B, N, 4)."""
        middle = (torch.arange(self.patches, device=tr_s.device) + 0.5) * self.patch
        seconds = (tr_s[:, None] * middle).repeat_interleave(len(self.centre_mm), dim=1)
        mm = self.centre_mm.repeat(self.patches, 1).expand(len(tr_s), -1, -1)
        return torch.cat([mm, seconds[..., None]], dim=-1)


def tokenizer_for(grid: Grid, atlas: Atlas, config: TokensConfig) -> Tokenizer:
    """Tile a grid's labelled voxels, grown as the settings say, into tokens."""
    labels = grow_labels(atlas.labels, grid.voxels, grid.spacing_mm, config.grow_mm)
    if config.kind == "grid":
        chunks = cut_patches(labels, grid.voxels, grid.coordinates_mm, config.edge_voxels)
    else:
        chunks = cut_chunks(labels, grid.coordinates_mm, config.edge_voxels**3)
    return Tokenizer(
        chunks,
        window=config.window_volumes,
        patch=config.patch_volumes,
        voxels=len(labels),
        systems=dict(zip(atlas.regions["index"], atlas.regions["system"], strict=True)),
    )
