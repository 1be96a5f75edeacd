from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from fmrifm.config import OptimConfig
from fmrifm.data.windows import Windows
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.finetune import WINDOWS, FinetuneModule, LabelledScans, choose_trained


def test_a_scan_is_drawn_as_windows_of_its_own_with_its_label(store):
    windows = Windows(store, ["s01_1", "s07_1"], 8)
    signal, tr_s, label = LabelledScans(windows, np.array([1, 0]), np.random.default_rng(0))[1]
    assert signal.shape == (WINDOWS, 8, 100)
    assert (tr_s.item(), label.item()) == (2.5, 0)
    whole = torch.from_numpy(store.window("s07_1"))
    starts = [start for start in range(23) for drawn in signal if torch.equal(drawn, whole[start : start + 8])]
    assert len(starts) == WINDOWS


def test_the_same_seed_draws_the_same_windows(store):
    def drawn(seed: int) -> torch.Tensor:
        scans = LabelledScans(Windows(store, ["s01_1"], 8), np.array([1]), np.random.default_rng(seed))
        return torch.stack([scans[0][0] for _ in range(3)])

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))


def test_without_a_generator_the_windows_are_spread_over_the_scan(store):
    windows = Windows(store, ["s01_1"], 8)
    scans = LabelledScans(windows, np.array([1]), None)
    whole = torch.from_numpy(store.window("s01_1"))
    assert torch.equal(scans[0][0], torch.stack([whole[start : start + 8] for start in (0, 8, 16, 22)]))
    assert torch.equal(scans[0][0], scans[0][0])


class Constant(nn.Module):
    """The same logits for every scan."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, signal: torch.Tensor, tr_s: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(signal), -1)


@pytest.mark.parametrize(("count", "control", "case"), [((5, 5), 1.0, 1.0), ((9, 3), 2 / 3, 2.0)])
def test_rare_cases_weigh_as_much_as_frequent_controls(count, control, case):
    module = FinetuneModule(Constant(2.0), OptimConfig(), np.array(count))
    module.log = lambda *arguments, **options: None  # there is no Trainer
    batch = torch.zeros(2, 1, 1, 1), torch.ones(2), torch.tensor([1, 0])
    losses = softplus(torch.tensor([-2.0, 2.0]))
    assert module.training_step(batch).item() == pytest.approx((case * losses[0] + control * losses[1]).item() / 2)


def test_the_loss_of_many_classes_is_the_balanced_cross_entropy():
    module = FinetuneModule(Constant(1.0, 0.0, -1.0), OptimConfig(), np.array([2, 4, 6]))
    module.log = lambda *arguments, **options: None
    batch = torch.zeros(2, 1, 1, 1), torch.ones(2), torch.tensor([0, 2])
    losses = -torch.tensor([1.0, 0.0, -1.0]).log_softmax(dim=0)
    assert module.training_step(batch).item() == pytest.approx((2 * losses[0] + 2 / 3 * losses[2]).item() / 2)


def test_the_whole_network_is_optimised_over_all_steps_of_the_fold():
    module = FinetuneModule(
        nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1)), OptimConfig(lr=0.5, warmup=0.5), np.array([2, 2])
    )
    module.trainer = SimpleNamespace(estimated_stepping_batches=8)
    made = module.configure_optimizers()
    assert sum(len(group["params"]) for group in made["optimizer"].param_groups) == 4
    assert made["lr_scheduler"]["scheduler"].get_last_lr()[0] == pytest.approx(0.5 / 4)


@pytest.mark.parametrize("mode", ["frozen", "full", "lora"])
def test_each_mode_trains_its_part_of_the_encoder_and_always_pooling_and_head(mode, pretrained):
    classifier = ScanClassifier(pretrained.model, "attention")
    choose_trained(classifier, mode, 2, torch.Generator().manual_seed(0))
    signal = torch.randn(2, 3, 8, 100, generator=torch.Generator().manual_seed(0))
    classifier(signal, torch.tensor([2.0, 2.5])).sum().backward()
    parts = {"frozen": 0, "full": sum(w.numel() for w in pretrained.model.encoder.parameters()), "lora": 2 * 2 * 48}
    asked = {name: weight for name, weight in classifier.named_parameters() if weight.requires_grad}
    head = {name for name in asked if name.startswith(("pooling.", "linear."))}
    assert head == {name for name, _ in classifier.named_parameters() if name.startswith(("pooling.", "linear."))}
    assert sum(weight.numel() for name, weight in asked.items() if name not in head) == parts[mode]
    assert all(name.startswith("autoencoder.encoder.") for name in asked.keys() - head)
    assert {name for name, weight in classifier.named_parameters() if weight.grad is not None} == asked.keys()
