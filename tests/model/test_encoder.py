import pytest
import torch

from fmrifm.model.draws import draw, take


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
