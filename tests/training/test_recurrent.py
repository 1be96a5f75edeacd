from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fmrifm.config import FinetuneConfig, OptimConfig
from fmrifm.data.windows import Windows
from fmrifm.errors import ConfigError
from fmrifm.evaluation.probe import scan_summaries
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.finetune import choose_trained
from fmrifm.training.recurrent import RecurrentModule, WholeScans, padded, summarised_scans

CREDITS = ["full", "gradcache", "tbptt", "tbptt_dense", "tbptt_sg"]


@pytest.fixture
def windows(store) -> Windows:
    return Windows(store, ["s01_1", "s07_1", "s02_1"], 8)


@pytest.fixture
def classifier(pretrained, windows) -> ScanClassifier:
    torch.manual_seed(0)
    classifier = ScanClassifier(pretrained.model, "recurrent")
    classifier.pooling.fit(scan_summaries(classifier, windows, range(3)))
    return classifier


def module(classifier: ScanClassifier, credit: str, encoder: str = "frozen", *, summarised: bool = False):
    choose_trained(classifier, encoder, 2, torch.Generator().manual_seed(0))
    classifier.zero_grad()
    how = {"credit": credit, "horizon": 2, "summarised": summarised}
    return RecurrentModule(classifier.train(), OptimConfig(), np.array([1, 2]), **how)


def batch(windows: Windows) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three scans; the middle one is said to end after three of its windows."""
    scans = [*WholeScans(windows, np.array([1, 0, 1]))]
    signal, tr_s, label = scans[1]
    return padded([scans[0], (signal[:3], tr_s, label), scans[2]])


def gradients(classifier: ScanClassifier) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in classifier.named_parameters() if p.grad is not None}


def test_a_scan_is_all_windows_that_cover_it(windows, store):
    signal, tr_s, label = WholeScans(windows, np.array([1, 0, 1]))[1]
    whole = torch.from_numpy(store.window("s07_1"))
    assert torch.equal(signal, torch.stack([whole[start : start + 8] for _, start in windows.cover(1)]))
    assert (tr_s.item(), label.item()) == (2.5, 0)


def test_shorter_scans_end_in_windows_of_nothing(windows):
    signal, tr_s, label = batch(windows)
    assert signal.shape[:2] == (3, len(windows.cover(0)))
    assert not signal[1, 3:].any()
    assert signal[1, :3].flatten(1).any(dim=1).all()
    assert tr_s.shape == (3,)
    assert label.tolist() == [1, 0, 1]


@pytest.mark.parametrize("credit", ["full", "gradcache"])
@pytest.mark.parametrize("encoder", ["frozen", "full", "lora"])
def test_exact_credit_is_the_gradient_of_the_loss_that_is_watched(encoder, credit, classifier, windows):
    ours = module(classifier, credit, encoder)
    loss = ours.give_credit(batch(windows)).loss
    found = gradients(classifier)
    classifier.zero_grad()
    watched = ours._loss(batch(windows))
    watched.backward()
    expected = gradients(classifier)
    assert loss == pytest.approx(watched.item(), rel=1e-5)
    assert found.keys() == expected.keys()
    assert any(name.startswith("autoencoder.encoder") for name in found) == (encoder != "frozen")
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-4 * gradient.norm() + 1e-7, name


@pytest.mark.parametrize("credit", CREDITS)
def test_what_was_said_of_windows_serves_where_the_encoder_stays(credit, classifier, windows):
    """The same gradients without running the encoder again."""
    label = np.array([1, 0, 1])
    by_signal = module(classifier, credit)
    loss = by_signal.give_credit(padded([*WholeScans(windows, label)])).loss
    expected = gradients(classifier)
    summaries = scan_summaries(classifier, windows, range(3))
    by_summary = module(classifier, credit, summarised=True)
    said = by_summary.give_credit(padded([*summarised_scans(summaries, windows, label)])).loss
    assert said == pytest.approx(loss, rel=1e-5)
    found = gradients(classifier)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-4 * gradient.norm() + 1e-7, name


def test_truncated_credit_is_another_gradient(classifier, windows):
    found = {}
    for credit in ("gradcache", "tbptt", "tbptt_dense"):
        module(classifier, credit).give_credit(batch(windows))
        found[credit] = gradients(classifier)["pooling.recurrence.cell.weight_ih"]
    for truncated in ("tbptt", "tbptt_dense"):
        assert (found[truncated] - found["gradcache"]).norm() > 1e-3 * found["gradcache"].norm()


def test_a_synthesiser_learns_by_an_optimiser_of_its_own(classifier, windows):
    ours = module(classifier, "tbptt_sg")
    ours.give_credit(batch(windows))
    assert ours.synthesiser.purkinje.bias.grad.any()
    assert ours.synthesiser.mossy.in_features == 2 * 64 + 3  # the state, two labels and the time
    ours.trainer = SimpleNamespace(estimated_stepping_batches=8)
    (first, second) = ours.configure_optimizers()
    owned = [{id(p) for group in made["optimizer"].param_groups for p in group["params"]} for made in (first, second)]
    assert owned[1] == {id(p) for p in ours.synthesiser.parameters()}
    assert not owned[0] & owned[1]


def test_several_processes_are_refused(classifier):
    ours = module(classifier, "gradcache")
    ours.trainer = SimpleNamespace(world_size=2)
    with pytest.raises(ConfigError, match=r"trainer\.devices: .* in 1 process, not 2"):
        ours.on_fit_start()


@pytest.mark.parametrize(
    ("trainer", "said"),
    [
        ({"gradient_clip_val": 1.0}, "trainer.gradient_clip_val is 1.0; expected none"),
        ({"accumulate_grad_batches": 4}, "trainer.accumulate_grad_batches is 4; expected 1"),
        ({"precision": "16-mixed"}, "trainer.precision is 16-mixed; expected 32-true or bf16-mixed"),
    ],
)
def test_options_that_several_backward_passes_cannot_have_are_refused(trainer, said):
    with pytest.raises(ConfigError, match=said):
        FinetuneConfig(store="", checkpoint="", out="", pooling="recurrent", trainer=trainer)
    FinetuneConfig(store="", checkpoint="", out="", trainer=trainer)


def test_credit_is_for_recurrent_pooling():
    with pytest.raises(ConfigError, match="credit is tbptt; expected gradcache"):
        FinetuneConfig(store="", checkpoint="", out="", credit="tbptt")
