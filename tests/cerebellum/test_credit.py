import copy

import pytest
import torch
from torch import nn

from fmrifm.cerebellum.credit import ScanHead, scan_backward
from fmrifm.cerebellum.synthesiser import Synthesiser
from fmrifm.model.recurrent import Recurrence


class Encoder(nn.Sequential):
    """3D frames (B, T, 1, x, y, z) to embeddings (B, T, E)."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(2), nn.Flatten(), nn.Linear(32, width)
        )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return super().forward(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])


def networks(width: int = 6) -> tuple[nn.Module, ScanHead]:
    """A small encoder of 3D frames and a head."""
    torch.manual_seed(0)
    return Encoder(width), ScanHead(Recurrence(width, 5), nn.Linear(5, 2))


@pytest.fixture
def scans() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three scans of 13 frames of 4 x 5 x 3 voxels, one of them shorter, and labels."""
    frames = torch.randn(3, 13, 1, 4, 5, 3, generator=torch.Generator().manual_seed(1))
    there = torch.ones(3, 13, dtype=torch.bool)
    there[1, 9:] = False
    return frames, there, torch.tensor([0, 1, 1])


def gradients(scans, credit: str, **options) -> tuple[dict[str, torch.Tensor], float]:
    encoder, head = networks()
    report = scan_backward(encoder, head, *scans, credit, horizon=4, **options)
    named = [*encoder.named_parameters("encoder"), *head.named_parameters("head")]
    return {name: parameter.grad for name, parameter in named}, report.loss


def assert_close(ours, theirs, tolerance: float) -> None:
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).norm() <= tolerance * gradient.norm(), name


def test_gradient_caching_gives_the_full_gradient(scans):
    ours, loss = gradients(scans, "gradcache")
    theirs, full = gradients(scans, "full")
    assert loss == pytest.approx(full, rel=1e-6)
    assert_close(ours, theirs, 1e-5)


def test_a_synthesiser_that_knows_the_future_gives_the_full_gradient(scans):
    """The true gradient at each boundary in place of what it says."""
    encoder, head = networks()
    frames, there, label = scans
    states = [head.recurrence.start(3)]
    for first in range(0, 13, 4):
        span = slice(first, first + 4)
        states.append(head.recurrence.step(encoder(frames[:, span]), states[-1], there[:, span]))
    for state in states[1:]:
        state.retain_grad()
    nn.functional.cross_entropy(head(states[-1]), label).backward()
    true = iter([3 * state.grad for state in states[1:-1]])

    class Oracle(Synthesiser):
        def forward(self, state, context=None):
            return next(true) if not torch.is_grad_enabled() else super().forward(state, context)

    ours, _ = gradients(scans, "tbptt_sg", synthesiser=Oracle(10))
    theirs, _ = gradients(scans, "full")
    assert_close(ours, theirs, 1e-5)


def test_before_it_has_learnt_a_synthesiser_changes_nothing(scans):
    ours, _ = gradients(scans, "tbptt_sg", synthesiser=Synthesiser(10))
    theirs, _ = gradients(scans, "tbptt")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_synthesiser_learns_what_arrives_and_leaves_the_cortex_alone(scans):
    """Its target is detached: the cortex's gradient is the same, whatever the synthesiser loses."""
    told = Synthesiser(10, ctx_dim=3)
    ours, _ = gradients(scans, "tbptt_sg", synthesiser=told, alpha=0.0)
    theirs, _ = gradients(scans, "tbptt")
    assert_close(ours, theirs, 1e-6)
    assert told.purkinje.bias.grad.abs().sum() > 0


def test_the_label_at_every_boundary_is_another_gradient(scans):
    ours, _ = gradients(scans, "tbptt_dense")
    theirs, _ = gradients(scans, "tbptt")
    assert (ours["encoder.0.weight"] - theirs["encoder.0.weight"]).norm() > 1e-3 * theirs["encoder.0.weight"].norm()


@pytest.mark.parametrize("credit", ["full", "gradcache", "tbptt", "tbptt_dense", "tbptt_sg"])
def test_a_frame_that_is_not_there_says_nothing(scans, credit):
    frames, there, label = scans
    changed = frames.clone()
    changed[1, 9:] = 100.0
    options = {"synthesiser": Synthesiser(10)} if credit == "tbptt_sg" else {}
    ours, loss = gradients((changed, there, label), credit, **copy.deepcopy(options))
    theirs, before = gradients(scans, credit, **options)
    assert loss == before
    assert_close(ours, theirs, 1e-6)


def test_an_encoder_with_nothing_to_learn_is_left_alone(scans):
    """The head's gradient is the same as beside one that learns."""
    for credit in ("full", "gradcache", "tbptt", "tbptt_dense"):
        encoder, head = networks()
        scan_backward(encoder.requires_grad_(False), head, *scans, credit, horizon=4)
        theirs, _ = gradients(scans, credit)
        for name, parameter in head.named_parameters("head"):
            assert torch.equal(parameter.grad, theirs[name])


@pytest.mark.parametrize("credit", ["full", "gradcache", "tbptt", "tbptt_dense"])
def test_a_scan_that_weighs_nothing_gives_no_credit(credit, scans):
    frames, there, label = scans
    ours, _ = gradients(scans, credit, weight=torch.tensor([1.5, 0.0, 0.0]))
    theirs, _ = gradients((frames[:1], there[:1], label[:1]), credit)
    assert_close(ours, {name: 1.5 / 3 * gradient for name, gradient in theirs.items()}, 1e-5)


def saved(credit: str, frames: int) -> int:
    encoder, head = networks()
    x = torch.randn(2, frames, 1, 8, 9, 7, generator=torch.Generator().manual_seed(0))
    there, options = torch.ones(2, frames, dtype=torch.bool), {"synthesiser": Synthesiser(10)}
    options = options if credit == "tbptt_sg" else {}
    return scan_backward(encoder, head, x, there, torch.tensor([0, 1]), credit, horizon=8, **options).peak_saved_bytes


@pytest.mark.parametrize("credit", ["gradcache", "tbptt", "tbptt_dense", "tbptt_sg"])
def test_memory_does_not_grow_with_the_scan(credit):
    assert saved(credit, 256) <= 1.05 * saved(credit, 32)


def test_the_full_graph_grows_with_the_scan():
    assert saved("full", 256) >= 7 * saved("full", 32)


def test_synthetic_credit_wants_a_synthesiser(scans):
    with pytest.raises(ValueError, match="needs a synthesiser"):
        gradients(scans, "tbptt_sg")
