import pytest
import torch

from fmrifm.attribution.gradients import COMPLETE, voxel_gradients
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.probe import scan_windows
from fmrifm.model.heads import ScanClassifier, with_signal
from fmrifm.training.checkpoint import Pretrained


def log_odds(classifier: ScanClassifier, signal: torch.Tensor, tr_s: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Log-odds of a scan, in which those tokens count that have signal in another one."""
    counts = with_signal(classifier.coefficients(like))
    tokens = classifier.tokens(classifier.coefficients(signal), tr_s, counts)
    return classifier.score(classifier.pooling(tokens))[0]


def test_integrated_gradients_add_up_to_the_difference_from_the_temporal_mean(shaken: ScanClassifier, scan) -> None:
    found = voxel_gradients(shaken, *scan)
    with torch.no_grad():
        whole, empty = (log_odds(shaken, scan[0] * share, scan[1], scan[0]) for share in (1, 0))
    assert found.integrated.sum().item() == pytest.approx((whole - empty).item(), rel=COMPLETE)
    assert found.error.item() <= COMPLETE


def test_they_add_up_to_the_difference_from_another_subject_too(shaken: ScanClassifier, scan, store: Store) -> None:
    other, _ = scan_windows(Windows(store, ["s04_1"], 8), 0)
    found = voxel_gradients(shaken, *scan, baseline=other)
    with torch.no_grad():
        difference = log_odds(shaken, scan[0], scan[1], scan[0]) - log_odds(shaken, other, scan[1], scan[0])
    assert found.integrated.sum().item() == pytest.approx(difference.item(), rel=COMPLETE)


def test_gradient_times_input_is_what_autograd_gives_at_the_voxels(shaken: ScanClassifier, scan) -> None:
    signal = scan[0].clone().requires_grad_()
    log_odds(shaken, signal, scan[1], scan[0]).backward()
    expected = (signal.grad * signal).sum(dim=(0, 1, 2)).detach()
    assert torch.allclose(voxel_gradients(shaken, *scan).times_input[0], expected, atol=1e-5)


def test_of_a_classifier_that_is_linear_both_are_weight_times_signal(pretrained: Pretrained, scan) -> None:
    torch.manual_seed(0)
    mean = ScanClassifier(pretrained.model, "mean").eval()  # an untrained encoder keeps each token's projections
    found = voxel_gradients(mean, *scan)
    assert torch.allclose(found.integrated, found.times_input, atol=1e-4)
    assert found.integrated.abs().max() > 1e-3


def test_voxels_outside_the_pool_and_outside_the_scan_get_nothing(shaken: ScanClassifier, store: Store) -> None:
    partial = scan_windows(Windows(store, ["s01_1"], 8), 0)  # lacks 255
    found = voxel_gradients(shaken, *partial)
    silent = torch.from_numpy((store.atlas.labels == 0) | (store.atlas.labels == 255))
    assert (found.integrated[:, silent] == 0).all()
    assert (found.times_input[:, silent] == 0).all()
    assert (found.integrated[:, ~silent] != 0).any()


def test_further_linear_layers_are_explained_as_if_each_were_the_classifier_s_own(shaken: ScanClassifier, scan) -> None:
    other = torch.nn.Linear(shaken.linear.in_features, 1)
    both = voxel_gradients(shaken, *scan, [other])
    assert torch.allclose(both.integrated[0], voxel_gradients(shaken, *scan).integrated[0], atol=1e-5)
    shaken.linear = other
    alone = voxel_gradients(shaken, *scan, fine=False)
    assert torch.allclose(both.integrated[1], alone.integrated[0], atol=1e-5)
    assert torch.allclose(both.times_input[1], alone.times_input[0], atol=1e-5)
