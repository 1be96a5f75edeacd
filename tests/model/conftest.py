"""A tiny brain with unequal axes, its tokens and a small model."""

import numpy as np
import pytest
import torch

from fmrifm.config import ModelConfig
from fmrifm.model.chunks import Chunks, cut_chunks, cut_patches
from fmrifm.model.mae import MaskedAutoencoder
from fmrifm.model.tokens import Tokenizer

SHAPE = (7, 9, 5)
LABELS = (3, 41, 170, 255)
"""Values of the four slabs: not positions, and above 127."""


@pytest.fixture
def places_mm() -> np.ndarray:
    """Centres of 7 x 9 x 5 voxels of 4 mm, shape (V, 3)."""
    return np.argwhere(np.ones(SHAPE)) * 4.0 - (12.0, 16.0, 8.0)


@pytest.fixture
def labels() -> np.ndarray:
    """Four unequal regions along y, a hole without a region, and one voxel that is a region of its own."""
    box = np.zeros(SHAPE, np.int32)
    box[:, :4], box[:, 4:6], box[:, 6:] = LABELS[:3]
    box[2:4, 2, 1:3] = 0
    box[6, 8, 4] = LABELS[3]
    return box.reshape(-1)


@pytest.fixture
def chunks(labels, places_mm) -> Chunks:
    """At most 27 voxels a chunk."""
    return cut_chunks(labels, places_mm, 27)


@pytest.fixture
def tokenizer(chunks, labels) -> Tokenizer:
    """Windows of 6 volumes in 2 time patches of 3."""
    return Tokenizer(chunks, window=6, patch=3, voxels=len(labels))


@pytest.fixture
def grid_tokenizer(labels, places_mm) -> Tokenizer:
    """The same windows and voxels in cubes of at most 27 voxels, most of them of several regions."""
    patches = cut_patches(labels, np.argwhere(np.ones(SHAPE)), places_mm, 3)
    return Tokenizer(patches, window=6, patch=3, voxels=len(labels))


@pytest.fixture(params=["regions", "grid"])
def any_tokenizer(request, tokenizer, grid_tokenizer) -> Tokenizer:
    return tokenizer if request.param == "regions" else grid_tokenizer


@pytest.fixture
def model(tokenizer) -> MaskedAutoencoder:
    """Two layers of 24 channels, a prior fitted to noise, every weight moved off its quiet start."""
    torch.manual_seed(0)
    model = MaskedAutoencoder(
        tokenizer, ModelConfig(width=24, layers=2, heads=6, decoder_layers=1, queries=8, components=3)
    )
    model.prior.fit(
        np.random.default_rng(2).normal(size=(50, tokenizer.voxels)).astype(np.float32),
        np.ones(tokenizer.voxels),
        seed=0,
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model.eval()


@pytest.fixture
def signal(labels) -> torch.Tensor:
    """Three windows of noise, shape (3, 6, V)."""
    return torch.randn(3, 6, len(labels), generator=torch.Generator().manual_seed(1))
