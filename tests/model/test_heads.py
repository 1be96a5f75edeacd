import numpy as np
import pytest
import torch

from fmrifm.model.connectivity import ConnectivityPooling, LogEuclideanPooling, TangentPooling
from fmrifm.model.heads import ScanClassifier
from fmrifm.model.pooling import AttentionPooling, MeanPooling
from fmrifm.model.recurrent import RecurrentPooling

TR_S = torch.tensor([2.0, 1.5])
POOLINGS = [
    ("connectivity", "correlation", ConnectivityPooling),
    ("connectivity", "tangent", TangentPooling),
    ("connectivity", "log_euclidean", LogEuclideanPooling),
    ("mean", "correlation", MeanPooling),
    ("attention", "correlation", AttentionPooling),
    ("recurrent", "correlation", RecurrentPooling),
]


@pytest.fixture(params=POOLINGS, ids=lambda pooling: pooling[2].__name__)
def classifier(request, model, labels) -> ScanClassifier:
    pooling, connectivity, kind = request.param
    classifier = ScanClassifier(model, pooling, connectivity).eval()
    assert type(classifier.pooling) is kind
    if kind is RecurrentPooling:  # it sees nothing before it is fitted
        others = torch.randn(3, 2, 6, len(labels), generator=torch.Generator().manual_seed(5))
        classifier.pooling.fit(classifier.summaries(others, torch.tensor([2.0, 1.5, 2.5])))
    return classifier


@pytest.fixture
def scans(labels) -> torch.Tensor:
    """Two scans of three windows, shape (2, 3, 6, V)."""
    return torch.randn(2, 3, 6, len(labels), generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_the_features_are_those_of_the_encoder_pooled_scan_by_scan(classifier, scans):
    model = classifier.autoencoder
    found = classifier.features(scans, TR_S)
    for scan in range(2):
        encoded = model.features(scans[scan], TR_S[scan].expand(3))
        assert torch.allclose(found[[scan]], classifier.pooling(encoded[None]), atol=1e-5)
    assert torch.equal(classifier.pooling.vectorise(classifier.summaries(scans, TR_S)), found)


@torch.no_grad()
def test_log_odds_are_weight_times_features_plus_bias(classifier, scans):
    size = classifier.pooling.size
    weight = torch.linspace(-1, 1, size)
    classifier.set_head(weight[None], torch.tensor([0.25]))
    features = classifier.features(scans, TR_S)
    assert features.shape == (2, size)
    assert torch.allclose(classifier(scans, TR_S)[:, 0], features @ weight + 0.25, atol=1e-5)
    assert torch.equal(classifier.score(features), classifier(scans, TR_S)[:, 0])
    assert torch.equal(classifier.probability(features), classifier.score(features).sigmoid())


@torch.no_grad()
def test_three_classes_have_a_probability_each_and_log_odds_against_the_first(model):
    classifier = ScanClassifier(model, "mean", classes=3)
    pooled = torch.randn(2, classifier.pooling.size, generator=torch.Generator().manual_seed(0))
    probability = classifier.probability(pooled)
    assert probability.shape == (2, 3)
    assert torch.allclose(probability.sum(dim=1), torch.ones(2))
    assert torch.allclose(classifier.score(pooled), torch.logit(1 - probability[:, 0]), atol=1e-5)


@torch.no_grad()
def test_a_batch_of_scans_is_scored_as_each_scan_alone(classifier, scans):
    together = classifier(scans, TR_S)
    alone = [classifier(scans[[scan]], TR_S[[scan]]).item() for scan in range(2)]
    assert together[:, 0].tolist() == pytest.approx(alone, abs=1e-5)


@torch.no_grad()
def test_the_order_of_windows_matters_to_recurrent_pooling_alone(classifier, scans):
    same = torch.allclose(classifier(scans, TR_S), classifier(scans[:, [1, 2, 0]], TR_S), atol=1e-5)
    assert same != isinstance(classifier.pooling, RecurrentPooling)


def test_the_head_learns_and_so_does_the_encoder(classifier, scans):
    classifier(scans, TR_S).sum().backward()
    used = {name for name, p in classifier.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {"linear.weight", "linear.bias", "autoencoder.encoder.embed.weight"} <= used
    assert not any(name.startswith("autoencoder.decoder") for name in used)


@torch.no_grad()
def test_regions_that_a_scan_does_not_cover_have_edges_of_zero(model, scans, tokenizer):
    classifier = ScanClassifier(model, "connectivity")
    region_V = tokenizer.region_of_voxel
    row, column = np.triu_indices(4, 1)
    for uncovered in ([1], [1, 2]):
        partial = scans.masked_fill(torch.isin(region_V, torch.tensor(uncovered)), 0.0)
        edges = classifier.features(partial, TR_S)
        touches = torch.from_numpy(np.isin(row, uncovered) | np.isin(column, uncovered))
        assert (edges[:, touches] == 0).all()
        assert (edges[:, ~touches] != 0).all()
