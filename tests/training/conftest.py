"""A tiny untrained model over the tiny store."""

import numpy as np
import pytest
import torch

from fmrifm.config import ModelConfig, TokensConfig
from fmrifm.data.store import Store
from fmrifm.training.checkpoint import Pretrained, build_model

TOKENS = TokensConfig(window_volumes=8, patch_volumes=4, edge_voxels=2)
SIZES = ModelConfig(width=24, layers=1, heads=2, queries=16)


@pytest.fixture
def pretrained(store: Store) -> Pretrained:
    """Weights from seed 3, none of them at a start value of zero."""
    torch.manual_seed(3)
    model = build_model(store.grid, store.atlas, TOKENS, SIZES)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    voxels = len(store.grid.voxels)
    return Pretrained(
        model=model.eval(),
        grid=store.grid,
        atlas=store.atlas,
        tokens=TOKENS,
        sizes=SIZES,
        subjects=("s00", "s01"),
        mean=np.arange(voxels, dtype=np.float32),
        deviation=np.full(voxels, 2.5, np.float32),
        about={"epoch": 4, "masking": {"kind": "region", "ratio": 0.75}},
    )
