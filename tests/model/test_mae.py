import pytest
import torch

from fmrifm.config import ModelConfig
from fmrifm.masking import MASKERS
from fmrifm.model.draws import draw_tokens, take
from fmrifm.model.losses import masked_mse
from fmrifm.model.mae import MaskedAutoencoder

TR_S = torch.tensor([2.0, 2.0, 1.5])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def covered(signal: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(signal), signal.shape[2], dtype=torch.bool)


def memories(model: MaskedAutoencoder) -> list[torch.Tensor]:
    """Every output of the encoder from now on."""
    seen: list[torch.Tensor] = []
    model.encoder.register_forward_hook(lambda *call: seen.append(call[2]))
    return seen


@pytest.mark.parametrize("garbage", [1e6, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", MASKERS)
def test_whatever_stands_in_hidden_voxels_the_encoder_gives_the_same_bits(kind, garbage, model, signal):
    hidden = MASKERS[kind](model.tokenizer.pool, 0.6)(len(signal), generator())
    where = model.tokenizer.join(hidden[:, :, None, None].expand(*model.tokenizer.split(signal).shape).float()) > 0
    spoilt = torch.where(where, torch.tensor(garbage), signal)
    assert where.any()
    assert not where.all()
    seen = memories(model)
    first = model(signal, covered(signal), TR_S, draw_tokens(hidden, generator(1)))
    second = model(spoilt, covered(signal), TR_S, draw_tokens(hidden, generator(1)))
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(first.prediction, second.prediction)


def test_only_hidden_tokens_are_predicted_and_targets_are_the_true_ones(model, signal):
    hidden = MASKERS["random"](model.tokenizer.pool, 0.6)(len(signal), generator())
    result = model(signal, covered(signal), TR_S, draw_tokens(hidden, generator(1)))
    assert hidden.gather(1, result.token).all()
    assert torch.equal(result.target, take(model.tokenizer.split(signal), result.token))


def test_voxels_that_the_scan_does_not_cover_do_not_count(model, signal):
    hidden = MASKERS["random"](model.tokenizer.pool, 0.6)(len(signal), generator())
    some = covered(signal)
    some[:, ::2] = False
    result = model(signal, some, TR_S, draw_tokens(hidden, generator(1)))
    chunk = result.token % len(model.tokenizer.region)
    odd = model.tokenizer.voxel[chunk] % 2 == 1
    assert torch.equal(result.weight, model.tokenizer.valid[chunk] & odd)


def test_a_model_with_a_prior_starts_by_repeating_what_it_expects(model, signal):
    fresh = MaskedAutoencoder(model.tokenizer, ModelConfig(width=24, layers=1, heads=6, components=3))
    fresh.prior.load_state_dict(model.prior.state_dict())
    drawn = draw_tokens(MASKERS["region"](model.tokenizer.pool, 0.6)(len(signal), generator()), generator())
    expected = model.prior(model.tokenizer.split(signal), covered(signal), drawn, model.tokenizer)
    assert expected.any()
    assert torch.equal(fresh(signal, covered(signal), TR_S, drawn).prediction, expected)
    whole = model(signal, covered(signal), TR_S, drawn)._replace(prediction=expected)
    assert all(map(torch.equal, model.expect(signal, covered(signal), drawn), whole))


@pytest.mark.parametrize("decoder_width", [None, 48])
def test_the_model_without_one_starts_as_a_smoother_that_says_half_of_what_the_neighbourhood_does(
    decoder_width, tokenizer, labels
):
    torch.manual_seed(0)
    sizes = ModelConfig(width=96, layers=2, heads=6, decoder_width=decoder_width, components=0)
    model = MaskedAutoencoder(tokenizer, sizes).eval()
    wave = torch.sin(torch.arange(3.0)).repeat(2)[:, None].expand(6, len(labels))  # alike in space and both patches
    hidden = MASKERS["random"](tokenizer.pool, 0.5)(1, generator())
    result = model(wave[None], torch.ones(1, len(labels), dtype=torch.bool), TR_S[:1], draw_tokens(hidden, generator()))
    torch.testing.assert_close(result.prediction, result.target / 2, atol=1e-2, rtol=0)


@pytest.mark.parametrize("width", [24, 192])
def test_bfloat16_is_within_a_hundredth_of_float64(width, model, signal):
    torch.manual_seed(1)
    model = MaskedAutoencoder(model.tokenizer, ModelConfig(width=width, layers=4, heads=6, components=3)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    drawn = draw_tokens(MASKERS["random"](model.tokenizer.pool, 0.6)(len(signal), generator()), generator())
    seen = memories(model)
    with torch.autocast("cpu", torch.bfloat16):
        quick = model(signal, covered(signal), TR_S, drawn).prediction.double()
    model = model.double()
    exact = model(signal.double(), covered(signal), TR_S.double(), drawn).prediction
    for found, expected in ((seen[0].double(), seen[1]), (quick, exact)):
        assert (found - expected).norm() < 1e-2 * expected.norm()


def test_every_weight_of_the_model_gets_a_gradient(model, signal):
    hidden = MASKERS["region"](model.tokenizer.pool, 0.6)(len(signal), generator())
    result = model(signal, covered(signal), TR_S, draw_tokens(hidden, generator()))
    masked_mse(result.prediction, result.target, result.weight).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []
