from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from fmrifm.attribution.occlusion import region_occlusion
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.probe import scan_windows
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained, build_model

REGIONS = (3, 41, 95, 128, 170, 255)
EDGES = list(combinations(REGIONS, 2))

Scan = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture
def scan(store: Store) -> Scan:
    """All four windows of a case, and its repetition time."""
    return scan_windows(Windows(store, ["s03_1"], 8), 0)


@pytest.fixture
def classifier(pretrained: Pretrained) -> ScanClassifier:
    """Every edge has a weight; the untrained encoder treats each token on its own."""
    torch.manual_seed(1)
    return ScanClassifier(pretrained.model, "connectivity")


def without(value: int, classifier: ScanClassifier, scan: Scan, store: Store) -> float:
    """Log-odds of the scan with the region's voxels at their temporal mean."""
    signal, tr_s = scan
    with torch.no_grad():
        return classifier(signal.masked_fill(torch.from_numpy(store.atlas.labels == value), 0.0), tr_s).item()


def shake(classifier: ScanClassifier) -> None:
    """Let tokens attend to each other, as they do in a trained encoder."""
    with torch.no_grad():
        for parameter in classifier.autoencoder.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))


@pytest.mark.parametrize(
    ("pooling", "kind"),
    [
        *((pooling, "regions") for pooling in ("connectivity", "mean", "attention", "recurrent")),
        ("mean", "grid"),
    ],
)
def test_scores_are_what_the_log_odds_lose_when_the_voxels_are_silenced(
    pooling: str, kind: str, pretrained: Pretrained, scan: Scan, store: Store
) -> None:
    torch.manual_seed(2)
    model = build_model(store.grid, store.atlas, replace(pretrained.tokens, kind=kind), pretrained.sizes)
    classifier = ScanClassifier(model, pooling)
    shake(classifier)
    with torch.no_grad():
        classifier.pooling.fit(classifier.summaries(*scan))
        whole = classifier(*scan).item()
    expected = [whole - without(value, classifier, scan, store) for value in REGIONS]
    scores = region_occlusion(classifier, *scan)[0]
    assert scores == pytest.approx(expected, abs=1e-5)
    assert (np.abs(scores) > 1e-4).all()


def test_only_the_two_regions_of_the_edge_that_the_head_reads_score(
    classifier: ScanClassifier, scan: Scan, store: Store
) -> None:
    weight = torch.zeros(len(EDGES))
    weight[EDGES.index((41, 170))] = 3.0
    classifier.set_head(weight, bias=0.7)
    found = dict(zip(REGIONS, region_occlusion(classifier, *scan)[0], strict=True))
    with torch.no_grad():
        edge = classifier.features(*scan)[0, EDGES.index((41, 170))].item()
    assert edge > 0.2  # the coupling that label 1 has
    assert found[41] == pytest.approx(3 * edge, abs=1e-5)
    assert found[170] == pytest.approx(3 * edge, abs=1e-5)
    assert [found[value] for value in (3, 95, 128, 255)] == [0.0] * 4


def test_the_sign_follows_the_label_that_the_region_speaks_for(classifier: ScanClassifier, scan: Scan) -> None:
    weight = torch.zeros(len(EDGES))
    weight[EDGES.index((41, 170))] = 1.0
    classifier.set_head(weight, 0.0)
    speaks_for = region_occlusion(classifier, *scan)
    classifier.set_head(-weight, 0.0)
    assert region_occlusion(classifier, *scan) == pytest.approx(-speaks_for)
    assert speaks_for.max() > 0


def test_a_region_that_the_scan_does_not_cover_scores_zero(classifier: ScanClassifier, store: Store) -> None:
    shake(classifier)
    partial = scan_windows(Windows(store, ["s01_1"], 8), 0)  # lacks 255
    found = dict(zip(REGIONS, region_occlusion(classifier, *partial)[0], strict=True))
    assert found.pop(255) == pytest.approx(0, abs=1e-6)
    assert all(abs(score) > 1e-4 for score in found.values())


def test_the_network_is_left_as_it_was_and_judged_without_training_mode(classifier: ScanClassifier, scan: Scan) -> None:
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    first = region_occlusion(classifier.train(), *scan)
    assert not classifier.training
    assert (first == region_occlusion(classifier, *scan)).all()
    assert all(torch.equal(tensor, before[name]) for name, tensor in classifier.state_dict().items())


def test_further_linear_layers_are_explained_as_if_each_were_the_classifier_s_own(
    classifier: ScanClassifier, scan: Scan
) -> None:
    shake(classifier)
    other = torch.nn.Linear(classifier.linear.in_features, 1)
    both = region_occlusion(classifier, *scan, [other])
    assert both[0] == pytest.approx(region_occlusion(classifier, *scan)[0], abs=1e-6)
    classifier.linear = other
    assert both[1] == pytest.approx(region_occlusion(classifier, *scan)[0], abs=1e-6)
