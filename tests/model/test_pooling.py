import numpy as np
import pytest
import torch

from fmrifm.model.pooling import ConnectivityPooling, MeanPooling, build_pooling

REGIONS, EDGES, WIDTH = 4, 6, 5


@pytest.fixture
def features(tokenizer) -> torch.Tensor:
    """Token features of 2 scans with 3 windows, shape (2, 3, N, W)."""
    tokens = tokenizer.patches * len(tokenizer.region)
    return torch.randn(2, 3, tokens, WIDTH, generator=torch.Generator().manual_seed(0))


def uncentred_edges(features: np.ndarray, tokenizer) -> np.ndarray:
    """Edges of one scan, shape (E,): cosines between regions of voxel-weighted mean features, all windows in a row."""
    voxels, region = tokenizer.valid.sum(dim=1).numpy(), tokenizer.region.numpy()
    chunks = features.reshape(len(features), tokenizer.patches, len(region), -1)
    rows = np.stack(
        [np.average(chunks[:, :, region == r], axis=2, weights=voxels[region == r]).ravel() for r in range(REGIONS)]
    )
    cosine = rows @ rows.T / np.outer(np.linalg.norm(rows, axis=1), np.linalg.norm(rows, axis=1))
    return np.arctanh(cosine[np.triu_indices(REGIONS, 1)])


def test_edges_are_fisher_z_cosines_of_mean_features_over_all_windows(tokenizer, features):
    pooled = ConnectivityPooling(tokenizer)(features)
    assert pooled.shape == (2, EDGES)
    for scan in range(2):
        assert pooled[scan].numpy() == pytest.approx(uncentred_edges(features[scan].numpy(), tokenizer), abs=1e-5)


def test_with_centred_features_the_edges_are_those_of_corrcoef(tokenizer):
    """One channel, one chunk a region: a region's row is its time course."""
    course = np.random.default_rng(0).normal(size=(REGIONS, 3, tokenizer.patches))
    course -= course.mean(axis=(1, 2), keepdims=True)
    token = torch.from_numpy(course[tokenizer.region.numpy()]).permute(1, 2, 0).flatten(1)
    pooled = ConnectivityPooling(tokenizer)(token[None, ..., None].float())
    expected = np.arctanh(np.corrcoef(course.reshape(REGIONS, -1))[np.triu_indices(REGIONS, 1)])
    assert pooled[0].numpy() == pytest.approx(expected, abs=1e-5)


def test_the_order_of_windows_does_not_matter(tokenizer, features):
    pool = ConnectivityPooling(tokenizer)
    assert torch.allclose(pool(features), pool(features[:, [2, 0, 1]]), atol=1e-6)


def test_edges_are_not_averaged_over_windows(tokenizer, features):
    pool = ConnectivityPooling(tokenizer)
    each = torch.stack([pool(features[:, [window]]) for window in range(3)]).mean(dim=0)
    assert not torch.allclose(pool(features), each, atol=1e-2)


def test_the_strength_of_a_scan_does_not_matter(tokenizer, features):
    pool = ConnectivityPooling(tokenizer)
    assert torch.allclose(pool(features), pool(7 * features), atol=1e-5)


def test_a_region_without_signal_has_edges_of_zero_and_a_gradient(tokenizer, features):
    silent = tokenizer.region.repeat(tokenizer.patches) == 1
    features[:, :, silent] = 0
    pooled = ConnectivityPooling(tokenizer)(features.requires_grad_())
    row, column = np.triu_indices(REGIONS, 1)
    touches = torch.from_numpy((row == 1) | (column == 1))
    assert (pooled[:, touches] == 0).all()
    assert (pooled[:, ~touches] != 0).all()
    pooled.sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_regions_with_the_same_features_stay_finite(tokenizer, features):
    same = features[:, :, :1].expand_as(features)
    assert ConnectivityPooling(tokenizer)(same).numpy() == pytest.approx(np.arctanh(0.999), abs=1e-3)


def test_mean_pooling_is_the_mean_over_windows_and_tokens(features):
    pool = MeanPooling(WIDTH)
    assert torch.allclose(pool(features), features.reshape(2, -1, WIDTH).mean(dim=1), atol=1e-6)
    by_hand = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 0.0]]]])
    assert MeanPooling(2)(by_hand).tolist() == [[4.0, 3.0]]


@pytest.mark.parametrize(("kind", "size"), [("connectivity", EDGES), ("mean", WIDTH)])
def test_every_pooling_knows_the_length_of_its_vector(kind, size, tokenizer, features):
    pool = build_pooling(kind, tokenizer, WIDTH)
    assert pool.size == size
    assert pool(features).shape == (2, size)
    assert not pool.state_dict()  # geometry comes from the tokenizer
