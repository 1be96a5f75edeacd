import pytest
import torch

from fmrifm.cerebellum import drawing
from fmrifm.cerebellum.drawing import Cortex, Ensemble, Variant, movements, train


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few examples and cells."""
    for name, value in {"EXAMPLES": 20, "BATCH": 10, "GRANULE": 12, "HIDDEN": 6}.items():
        monkeypatch.setattr(drawing, name, value)


def test_lines_start_at_rest_and_end_ten_away_in_six_directions():
    cues, lines = movements()
    assert not lines[:, 0].any()
    torch.testing.assert_close(lines[:, -1].norm(dim=1), torch.tensor([0.0, *[10.0] * 6]))
    assert cues[:, 0, 0].tolist() == pytest.approx([-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3])
    assert not cues[:, 1:].any()


def test_a_cortex_is_an_lstm():
    torch.manual_seed(0)
    ours, x, state = Cortex(), torch.randn(4, 5, 1), torch.randn(4, 12)
    theirs = torch.nn.LSTM(1, 6, batch_first=True)
    theirs.load_state_dict(
        {
            "weight_ih_l0": ours.inputs.weight, "bias_ih_l0": ours.inputs.bias,
            "weight_hh_l0": ours.recurrent.weight, "bias_hh_l0": ours.recurrent.bias,
        }
    )  # fmt: skip
    h, c = state.chunk(2, dim=1)
    expected, (last_h, last_c) = theirs(x, (h[None].contiguous(), c[None].contiguous()))
    drawn, after = ours(x, state)
    torch.testing.assert_close(drawn, ours.read(expected))
    torch.testing.assert_close(after, torch.cat([last_h[0], last_c[0]], dim=1))


def test_every_second_step_is_heard_from_the_first_on():
    def gradient(wrong: slice) -> torch.Tensor:
        cortex = Ensemble([Cortex()])
        cues, lines = movements()
        lines[:, wrong] += 5.0
        drawing._credit(cortex, Ensemble([Cortex()]), cues[None], lines[None], 3, heard=False, learns=False)
        return cortex.weights["read.bias"].grad

    torch.manual_seed(0)
    seed = torch.random.get_rng_state()
    found = []
    for wrong in (slice(0, 0), slice(1, None, 2), slice(0, 1), slice(8, 9)):
        torch.random.set_rng_state(seed)
        found.append(gradient(wrong))
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2])
    assert not torch.allclose(found[0], found[3])


def test_seeds_side_by_side_learn_as_each_would_alone():
    one, three = (train(Variant(horizon=2, synthesiser=True), seeds, epochs=2) for seeds in ([1], [1, 5, 0]))
    torch.testing.assert_close(three.error[:, :1], one.error, rtol=1e-4, atol=1e-5)


def test_a_gradient_is_bounded_for_each_seed_by_itself():
    ensemble = Ensemble([Cortex(), Cortex()])
    for weight in ensemble.weights.values():
        weight.grad = torch.stack([torch.ones_like(weight[0]), torch.full_like(weight[1], 1e-4)])
    ensemble.clip()
    norms = sum(weight.grad.flatten(1).square().sum(dim=1) for weight in ensemble.weights.values()).sqrt()
    assert norms[0] == pytest.approx(1.0, rel=1e-5)
    assert norms[1] < 0.01


def test_a_lesion_at_the_start_is_a_cortex_alone():
    lesioned = train(Variant(horizon=2, synthesiser=True, lesion_epoch=0), [0, 1], epochs=2)
    alone = train(Variant(horizon=2), [0, 1], epochs=2)
    torch.testing.assert_close(lesioned.error, alone.error)


def test_an_olive_that_never_taught_leaves_a_silent_cerebellum():
    untaught = train(Variant(horizon=2, synthesiser=True, olive_epoch=0), [0, 1], epochs=2)
    alone = train(Variant(horizon=2), [0, 1], epochs=2)
    torch.testing.assert_close(untaught.error, alone.error, rtol=1e-5, atol=1e-6)
    assert not torch.equal(train(Variant(horizon=2, synthesiser=True), [0, 1], epochs=2).error, alone.error)
