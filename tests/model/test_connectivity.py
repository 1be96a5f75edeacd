import numpy as np
import pytest
import torch
from nilearn.connectome import ConnectivityMeasure, vec_to_sym_matrix
from scipy.linalg import expm, logm
from sklearn.covariance import ShrunkCovariance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from fmrifm.model.connectivity import CONNECTIVITY, ConnectivityPooling, LogEuclideanPooling, TangentPooling
from fmrifm.model.pooling import MeanPooling

REGIONS, EDGES, WIDTH = 4, 6, 5


@pytest.fixture
def features(tokenizer) -> torch.Tensor:
    """Token features of 2 scans with 3 windows, shape (2, 3, N, W)."""
    tokens = tokenizer.patches * len(tokenizer.region)
    return torch.randn(2, 3, tokens, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=CONNECTIVITY)
def pool(request, tokenizer) -> ConnectivityPooling:
    """Each kind, the tangent one at the mean of other scans."""
    pooling = CONNECTIVITY[request.param](tokenizer)
    others = torch.randn(5, 3, tokenizer.patches * len(tokenizer.region), WIDTH)
    pooling.fit(pooling.summarise(others))
    return pooling


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


def test_the_order_of_windows_does_not_matter(pool, features):
    assert torch.allclose(pool(features), pool(features[:, [2, 0, 1]]), atol=1e-6)


def test_edges_are_not_averaged_over_windows(pool, features):
    each = torch.stack([pool(features[:, [window]]) for window in range(3)]).mean(dim=0)
    assert not torch.allclose(pool(features), each, atol=1e-2)


def test_the_strength_of_a_scan_does_not_matter(pool, features):
    assert torch.allclose(pool(features), pool(7 * features), atol=1e-5)


def touching(region: int, size: int) -> torch.Tensor:
    """Which entries of a vector touch a region; those of the diagonal are in it where it is long enough."""
    row, column = np.triu_indices(REGIONS, 1 if size == EDGES else 0)
    return torch.from_numpy((row == region) | (column == region))


def silenced(features: torch.Tensor, tokenizer, region: int) -> torch.Tensor:
    return features.masked_fill((tokenizer.region.repeat(tokenizer.patches) == region)[:, None], 0.0)


def test_a_region_without_signal_has_entries_of_zero_and_a_gradient(pool, tokenizer, features):
    partial = silenced(features, tokenizer, 1).requires_grad_()
    pooled = pool(partial)
    touches = touching(1, pool.size)
    assert (pooled[:, touches] == 0).all()
    assert (pooled[:, ~touches] != 0).all()
    pooled.sum().backward()
    assert partial.grad.isfinite().all()
    assert partial.grad.any()


def test_every_pooling_knows_the_length_of_its_vector(pool, features):
    assert pool.size == (EDGES if type(pool) is ConnectivityPooling else EDGES + REGIONS)
    assert pool(features).shape == (2, pool.size)
    assert pool(features).dtype == torch.float32


def test_regions_with_the_same_features_stay_finite(tokenizer, features):
    same = features[:, :, :1].expand_as(features)
    assert ConnectivityPooling(tokenizer)(same).numpy() == pytest.approx(np.arctanh(0.999), abs=1e-3)


@pytest.mark.parametrize("alike", ["the same", "unrelated"])
def test_equal_eigenvalues_have_finite_gradients(pool, tokenizer, alike):
    """Regions that are all the same have R - 1 equal eigenvalues, unrelated ones R."""
    course = torch.ones(REGIONS, REGIONS) if alike == "the same" else torch.eye(REGIONS)
    token = course[tokenizer.region].repeat(tokenizer.patches, 1)[None, None].requires_grad_()
    pool(token).square().sum().backward()
    assert token.grad.isfinite().all()


def test_short_floats_are_not_used_where_correlations_are_made(pool, features):
    same = features[:, :, :1] + 0.001 * features
    with torch.autocast("cpu", dtype=torch.bfloat16):
        short = pool(same)
    assert torch.equal(short, pool(same))


# Against nilearn and scipy: one channel and two patches of 60 windows give each region a course of 120.


def courses(scans: int, tokenizer) -> tuple[list[np.ndarray], torch.Tensor]:
    """Standardised courses (120, R) that scans share a mixture of, and the features that hold them."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(REGIONS, REGIONS))
    series = [rng.normal(size=(120, REGIONS)) @ (common + rng.normal(size=(REGIONS, REGIONS))) for _ in range(scans)]
    series = [(course - course.mean(axis=0)) / course.std(axis=0) for course in series]
    stacked = torch.from_numpy(np.stack(series)).view(scans, 60, tokenizer.patches, REGIONS)
    return series, stacked[..., tokenizer.region].flatten(2)[..., None].float()


def shrunk(course: np.ndarray) -> np.ndarray:
    return 0.9 * np.corrcoef(course.T) + 0.1 * np.eye(course.shape[1])


def entries(matrix: np.ndarray) -> np.ndarray:
    return (matrix / (1 + (2**0.5 - 1) * np.eye(len(matrix))))[np.triu_indices(len(matrix))]


def test_the_log_euclidean_vector_is_that_of_scipy(tokenizer):
    series, features = courses(3, tokenizer)
    for course, vector in zip(series, LogEuclideanPooling(tokenizer)(features), strict=True):
        assert vector.numpy() == pytest.approx(entries(logm(shrunk(course))), abs=1e-5)


def nilearn_tangent(series: list[np.ndarray]) -> tuple[ConnectivityMeasure, np.ndarray]:
    measure = ConnectivityMeasure(ShrunkCovariance(shrinkage=0.1), kind="tangent", vectorize=True, standardize=False)
    return measure, measure.fit_transform(series)


def test_at_the_same_reference_the_tangent_vectors_are_those_of_nilearn(tokenizer):
    series, features = courses(6, tokenizer)
    measure, vectors = nilearn_tangent(series)
    pooling = TangentPooling(tokenizer)
    pooling.reference.copy_(torch.from_numpy(measure.mean_))
    for vector, theirs in zip(pooling(features), vectors, strict=True):
        assert vector.numpy() == pytest.approx(entries(vec_to_sym_matrix(theirs)), abs=1e-5)


def test_where_matrices_commute_the_reference_is_the_geometric_mean_of_nilearn(tokenizer):
    """Matrices whose rows are the first one turned round have the same eigenvectors."""
    rng = np.random.default_rng(0)
    white = [np.linalg.qr(course - course.mean(axis=0))[0] * 120**0.5 for course in rng.normal(size=(3, 120, 4))]
    rounds = [np.array([1, near, far, near]) for near, far in ((0.5, 0.3), (-0.2, 0.1), (0.1, 0.6))]
    matrices = [np.stack([np.roll(first, shift) for shift in range(4)]) for first in rounds]
    series = [course @ np.linalg.cholesky(matrix).T for course, matrix in zip(white, matrices, strict=True)]
    assert np.corrcoef(series[0].T) == pytest.approx(matrices[0])
    pooling = TangentPooling(tokenizer)
    pooling.fit(torch.from_numpy(np.stack(matrices)))
    assert pooling.reference.numpy() == pytest.approx(nilearn_tangent(series)[0].mean_, abs=1e-5)


def test_a_scan_at_the_reference_has_a_tangent_vector_of_zero(tokenizer, features):
    pooling = TangentPooling(tokenizer)
    pooling.fit(pooling.summarise(features[:1]))
    vectors = pooling(features)
    assert vectors[0].numpy() == pytest.approx(0, abs=1e-5)
    assert vectors[1].abs().max() > 0.1


def test_without_training_scans_the_tangent_is_the_log_euclidean_one(tokenizer, features):
    assert torch.allclose(TangentPooling(tokenizer)(features), LogEuclideanPooling(tokenizer)(features), atol=1e-6)


def test_a_pair_of_regions_is_averaged_over_the_training_scans_that_cover_both(tokenizer):
    series, features = courses(3, tokenizer)
    features[2:] = silenced(features[2:], tokenizer, 3)
    pooling = TangentPooling(tokenizer)
    pooling.fit(pooling.summarise(features))
    logs = [logm(shrunk(course)) for course in series]
    mean = (logs[0] + logs[1]) / 2  # of the pairs with region 3
    mean[:3, :3] = (logs[0][:3, :3] + logs[1][:3, :3] + logm(shrunk(series[2][:, :3]))) / 3
    assert pooling.reference.numpy() == pytest.approx(expm(mean), abs=1e-5)


def test_what_a_scan_does_not_cover_is_left_out_of_the_reference_too(tokenizer):
    series, features = courses(4, tokenizer)
    pooling = TangentPooling(tokenizer)
    pooling.fit(pooling.summarise(features[1:]))
    vector = pooling(silenced(features[:1], tokenizer, 2))[0]
    seen = np.ix_([0, 1, 3], [0, 1, 3])
    values, vectors = np.linalg.eigh(pooling.reference.double().numpy()[seen])
    whitening = (vectors / values**0.5) @ vectors.T
    expected = entries(logm(whitening @ shrunk(series[0])[seen] @ whitening))
    assert vector[~touching(2, len(vector))].numpy() == pytest.approx(expected, abs=1e-5)


def test_scans_are_vectorised_alike_together_and_alone(pool, tokenizer, features):
    features[1:] = silenced(features[1:], tokenizer, 0)
    assert torch.allclose(pool(features), torch.cat([pool(features[:1]), pool(features[1:])]), atol=1e-6)


def test_only_the_tangent_keeps_something_of_its_training_scans(pool):
    assert list(pool.state_dict()) == (["reference"] if type(pool) is TangentPooling else [])


def coupled(scans: int, seed: int, tokenizer) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (S, 3, N, W) and labels: with label 1 region 2 leans towards region 0 in every channel and window."""
    generator = torch.Generator().manual_seed(seed)
    region = torch.randn(scans, 3, tokenizer.patches, REGIONS, WIDTH, generator=generator)
    label = torch.arange(scans) % 2
    region[..., 2, :] += 1.2 * label[:, None, None, None] * region[..., 0, :]
    return region[..., tokenizer.region, :].flatten(2, 3), label


@pytest.mark.parametrize("kind", CONNECTIVITY)
def test_a_planted_coupling_is_found_that_the_mean_does_not_hold(kind, tokenizer):
    (features, label), (held_out, truth) = coupled(100, 0, tokenizer), coupled(100, 1, tokenizer)
    for pooling, low, high in ((MeanPooling(WIDTH), 0.35, 0.65), (CONNECTIVITY[kind](tokenizer), 0.9, 1.0)):
        pooling.fit(pooling.summarise(features))
        linear = LogisticRegression().fit(pooling(features), label)
        assert low < roc_auc_score(truth, linear.decision_function(pooling(held_out))) <= high


def test_a_region_that_shares_its_patches_has_their_mean_by_its_own_voxels(grid_tokenizer):
    """Region 255 has one voxel, in a patch where others have more: it repeats that patch."""
    tokens = grid_tokenizer.patches * len(grid_tokenizer.voxel)
    features = torch.randn(1, 3, tokens, WIDTH, generator=torch.Generator().manual_seed(0))
    pool = ConnectivityPooling(grid_tokenizer)
    assert 3 not in grid_tokenizer.region
    (patch,) = torch.nonzero(grid_tokenizer.counts[3])[:, 0].tolist()
    assert pool.share[3].tolist() == [float(number == patch) for number in range(len(grid_tokenizer.voxel))]
    torch.testing.assert_close(pool.share.sum(dim=1), torch.ones(REGIONS))
    assert torch.isfinite(pool(features)).all()
