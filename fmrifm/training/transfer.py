"""Carries a pretrained model over to another grid or atlas: the weights know millimetres and seconds only.

What was kept for each voxel (the population prior, the normalisation) is read at the nearest old voxel.

Axes: V brain voxels of the old grid, U of the new one.
"""

from dataclasses import replace

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from fmrifm.atlas import Atlas
from fmrifm.config import TokensConfig
from fmrifm.data.grid import Grid
from fmrifm.training.checkpoint import Pretrained, build_model

_VOXELWISE = ("prior.loadings", "prior.precision")


def carried_over(pretrained: Pretrained, grid: Grid, atlas: Atlas) -> Pretrained:
    """Return the same model over the voxels of another grid and the regions of another atlas.

    Chunks keep their size in millimetres, as closely as whole voxels allow.
    """
    tokens = replace(pretrained.tokens, edge_voxels=_edge(pretrained.tokens, pretrained.grid, grid))
    model = build_model(grid, atlas, tokens, pretrained.sizes, pretrained.objective)
    distance, nearest = KDTree(pretrained.grid.coordinates_mm).query(grid.coordinates_mm)
    near = torch.from_numpy(distance <= max(*pretrained.grid.spacing_mm, *grid.spacing_mm))
    # Smaller voxels share their noise with more others.
    share = float(np.prod(grid.spacing_mm) / np.prod(pretrained.grid.spacing_mm))

    def moved(name: str, values: Tensor) -> Tensor:
        if name not in _VOXELWISE:
            return values
        taken = values[nearest] * near.view(-1, *[1] * (values.ndim - 1))
        return taken * share if name == "prior.precision" else taken

    model.load_state_dict({name: moved(name, values) for name, values in pretrained.model.state_dict().items()})
    return replace(
        pretrained,
        model=model.eval(),
        grid=grid,
        atlas=atlas,
        tokens=tokens,
        mean=pretrained.mean[nearest],
        deviation=pretrained.deviation[nearest],
    )


def _edge(tokens: TokensConfig, old: Grid, new: Grid) -> int:
    return max(1, round(tokens.edge_voxels * float(np.prod(old.spacing_mm) / np.prod(new.spacing_mm)) ** (1 / 3)))
