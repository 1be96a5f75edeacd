"""Pools of the whole 4 mm brain, from the AAL3 approximation, in three time patches."""

import numpy as np
import pytest

from fmrifm.atlas import Atlas, load_atlas
from fmrifm.config import AtlasConfig, TokensConfig
from fmrifm.data.grid import Grid, mni_grid
from fmrifm.masking import Pool
from fmrifm.model.tokens import Tokenizer, tokenizer_for

Brain = tuple[Grid, Atlas]
PATCHES = 3


def tokens_of(brain: Brain, kind: str) -> Tokenizer:
    return tokenizer_for(*brain, TokensConfig(kind=kind, window_volumes=24, patch_volumes=24 // PATCHES))


@pytest.fixture(scope="session")
def brain() -> Brain:
    grid = mni_grid(4.0)
    return grid, load_atlas(AtlasConfig(approximation=True), grid.image(np.ones(len(grid.voxels), np.uint8)))


@pytest.fixture(scope="session")
def tokenizer(brain: Brain) -> Tokenizer:
    """Chunks that each lie in one region."""
    return tokens_of(brain, "regions")


@pytest.fixture(scope="session")
def pool(tokenizer: Tokenizer) -> Pool:
    return tokenizer.pool


@pytest.fixture(scope="session")
def grid_pool(brain: Brain) -> Pool:
    """Cubic patches of 27 voxels, most of which hold several regions."""
    return tokens_of(brain, "grid").pool


@pytest.fixture(params=["regions", "grid"])
def any_pool(request: pytest.FixtureRequest, pool: Pool, grid_pool: Pool) -> Pool:
    return pool if request.param == "regions" else grid_pool
