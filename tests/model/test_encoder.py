import pytest
import torch

from fmrifm.model.draws import draw, take
from fmrifm.model.encoder import Encoder


@pytest.fixture
def inputs(model, signal):
    """Coefficients and places of all tokens."""
    return model.coefficients(signal), model.tokenizer.places(torch.tensor([2.0, 2.0, 1.5]))


def test_a_permutation_of_tokens_permutes_the_output(model, inputs):
    coefficients, places = inputs
    order = torch.randperm(coefficients.shape[1], generator=torch.Generator().manual_seed(0))
    permuted = model.encoder(coefficients[:, order], places[:, order])
    torch.testing.assert_close(permuted, model.encoder(coefficients, places)[:, order], atol=1e-5, rtol=1e-5)


def test_windows_of_a_batch_do_not_see_each_other(model, inputs):
    coefficients, places = inputs
    alone = model.encoder(coefficients[1:2], places[1:2])
    torch.testing.assert_close(alone[0], model.encoder(coefficients, places)[1], atol=1e-5, rtol=1e-5)


def test_with_nothing_hidden_it_is_the_plain_encoder(model, inputs, signal):
    coefficients, places = inputs
    visible = draw(torch.ones(coefficients.shape[:2], dtype=torch.bool), None, torch.Generator().manual_seed(0))
    encoded = model.encoder(take(coefficients, visible), take(places, visible))
    plain = model.features(signal, torch.tensor([2.0, 2.0, 1.5]))
    torch.testing.assert_close(encoded, take(plain, visible), atol=1e-5, rtol=1e-5)


def kept_bytes(encoder: Encoder, coefficients: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Loss of an encoder pass, its gradients set, and the bytes that it kept for them."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = encoder(coefficients, places).square().mean()
    loss.backward()
    return loss, sum(kept.values())


def test_checkpointing_gives_the_same_gradients_and_keeps_less(model, inputs):
    layers, width = 4, 24
    torch.manual_seed(0)
    plain = Encoder(patch=3, width=width, layers=layers, heads=6)
    for parameter in plain.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    frugal = Encoder(patch=3, width=width, layers=layers, heads=6, checkpointing=True)
    frugal.load_state_dict(plain.state_dict())
    (loss, much), (same, little) = kept_bytes(plain, *inputs), kept_bytes(frugal, *inputs)
    assert torch.equal(loss, same)
    for one, two in zip(plain.parameters(), frugal.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad)
    batch, tokens = inputs[0].shape[:2]
    block_inputs = layers * batch * tokens * width * 4  # kept outside of autograd's sight
    assert little + block_inputs < 0.2 * much
