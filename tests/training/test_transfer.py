import dataclasses

import numpy as np
import pytest
import torch

from fmrifm.atlas import Atlas
from fmrifm.data.grid import Grid
from fmrifm.training.checkpoint import Pretrained, build_model
from fmrifm.training.transfer import carried_over


@pytest.fixture
def fitted(pretrained: Pretrained) -> Pretrained:
    """With a prior, and everything kept for a voxel equal to its x in mm."""
    torch.manual_seed(0)
    sizes = dataclasses.replace(pretrained.sizes, components=2)
    model = build_model(pretrained.grid, pretrained.atlas, pretrained.tokens, sizes).eval()
    x = pretrained.grid.coordinates_mm[:, 0].astype(np.float32)
    model.prior.loadings[:] = torch.from_numpy(x)[:, None]
    model.prior.precision[:] = 0.5
    return dataclasses.replace(pretrained, model=model, sizes=sizes, mean=x, deviation=2 * x)


def test_on_its_own_grid_and_atlas_the_model_stays_the_same(fitted, store):
    carried = carried_over(fitted, fitted.grid, fitted.atlas)
    ours, theirs = carried.model.state_dict(), fitted.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    signal = torch.from_numpy(store.window("s00_1", 0, 8))[None]
    assert torch.equal(*(model.features(signal, torch.tensor([2.0])) for model in (carried.model, fitted.model)))


def test_half_the_voxel_edge_doubles_the_chunk_and_takes_the_nearest_voxels_values(fitted):
    fine = Grid(
        affine=fitted.grid.affine @ np.diag([0.5, 0.5, 0.5, 1]),
        mask=fitted.grid.mask.repeat(2, 0).repeat(2, 1).repeat(2, 2),
    )
    box = np.zeros(fitted.grid.shape, np.int32)
    box[fitted.grid.mask] = fitted.atlas.labels
    labels = box.repeat(2, 0).repeat(2, 1).repeat(2, 2)[fine.mask]
    carried = carried_over(fitted, fine, Atlas(labels=labels, regions=fitted.atlas.regions))
    assert carried.tokens.edge_voxels == 2 * fitted.tokens.edge_voxels
    assert carried.model.tokenizer.voxels == 8 * fitted.model.tokenizer.voxels
    off = np.abs(carried.mean - fine.coordinates_mm[:, 0])
    assert off.max() <= 1.0  # half an old voxel
    assert np.array_equal(carried.deviation, 2 * carried.mean)
    assert torch.equal(carried.model.prior.loadings[:, 0], torch.from_numpy(carried.mean))
    torch.testing.assert_close(carried.model.prior.precision, torch.full_like(carried.model.prior.precision, 0.5 / 8))


def test_voxels_where_the_old_grid_had_none_expect_nothing(fitted):
    wide = Grid(affine=fitted.grid.affine, mask=np.ones(fitted.grid.shape, bool))
    carried = carried_over(fitted, wide, Atlas(labels=np.full(wide.mask.sum(), 3), regions=fitted.atlas.regions))
    far = wide.coordinates_mm[:, 1] > fitted.grid.coordinates_mm[:, 1].max() + 2
    assert wide.mask.sum() == 210
    assert not carried.model.prior.precision[torch.from_numpy(far)].any()
    assert carried.model.tokenizer.regions == 1
