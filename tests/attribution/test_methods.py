import numpy as np
import pytest
from nilearn.maskers import NiftiLabelsMasker

from fmrifm.attribution.methods import of_regions
from fmrifm.data.store import Store
from fmrifm.training.checkpoint import Pretrained


@pytest.fixture
def maps(store: Store) -> np.ndarray:
    """Scores of three maps at each of the 100 brain voxels."""
    return np.random.default_rng(0).normal(size=(3, len(store.grid.voxels))).astype(np.float32)


def test_region_means_are_those_of_nilearn_s_labels_masker(store: Store, pretrained: Pretrained, maps) -> None:
    region = pretrained.model.tokenizer.region_of_voxel.numpy()
    voxels = np.bincount(region)
    found = of_regions(maps, region, 6) / voxels
    masker = NiftiLabelsMasker(store.grid.image(store.atlas.labels), standardize=None)
    expected = np.stack([masker.fit_transform(store.grid.image(one)).ravel() for one in maps])
    assert [masker.region_ids_[column] for column in range(6)] == [3, 41, 95, 128, 170, 255]
    assert found[:, :6] == pytest.approx(expected, abs=1e-6)


def test_regions_and_the_rest_add_up_to_the_whole_map(pretrained: Pretrained, maps) -> None:
    region = pretrained.model.tokenizer.region_of_voxel.numpy()
    found = of_regions(maps, region, 6)
    assert found.shape == (3, 7)
    assert found.sum(axis=1) == pytest.approx(maps.astype(np.float64).sum(axis=1))
    assert found[:, 6] == pytest.approx(maps[:, region == 6].sum(axis=1), abs=1e-5)
