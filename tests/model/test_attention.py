import pytest
import torch
from torch.nn.functional import softmax

from fmrifm.model.attention import REACH_MM, REACH_S, DistanceBias, PlacedAttention, placed_block


def places(count: int, seed: int) -> torch.Tensor:
    spread = torch.tensor([30.0, 40.0, 25.0, 10.0])
    return torch.randn(2, count, 4, generator=torch.Generator().manual_seed(seed)) * spread


def test_the_factored_bias_weighs_keys_as_the_squared_distance_does():
    query, key = places(5, 0), places(7, 1)
    bias = DistanceBias(6)(query, key)
    weights = softmax(torch.einsum("bhnf,bhmf->bhnm", bias.query, bias.key), dim=-1)
    for head, reach in enumerate(REACH_MM):
        flipped = query * torch.tensor([-1.0 if head == 4 else 1.0, 1, 1, 1])
        apart = flipped[:, :, None] - key[:, None]
        scaled = apart * 0 if reach is None else apart / torch.tensor([reach, reach, reach, REACH_S])
        torch.testing.assert_close(weights[:, head], softmax(-0.5 * scaled.square().sum(-1), dim=-1))


def test_attention_equals_the_plain_formula():
    torch.manual_seed(0)
    attention = PlacedAttention(24, 6, passes_through=True)
    x, context = torch.randn(2, 5, 24), torch.randn(2, 7, 24)
    bias = DistanceBias(6)(places(5, 0), places(7, 1))
    q, k, v = (attention._heads(part) for part in (attention.to_q(x), attention.to_k(context), attention.to_v(context)))
    logits = q @ k.mT * 4**-0.5 + bias.query @ bias.key.mT
    expected = attention.out_proj((softmax(logits, dim=-1) @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(x, bias, context=context), expected)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_attention_is_one_fused_kernel_that_keeps_no_matrix(kind):
    attention, x = PlacedAttention(24, 6), torch.randn(2, 50, 24)
    bias = DistanceBias(6)(places(50, 0), places(50, 0))
    kept = []
    with (
        torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen,
        torch.autocast("cpu", kind, enabled=kind != torch.float32),
        torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.shape) or tensor, lambda t: t),
    ):
        attention(x, bias).float().sum().backward()
    names = {event.key for event in seen.key_averages()}
    assert "aten::_scaled_dot_product_flash_attention_for_cpu" in names
    assert "aten::_softmax" not in names
    assert kept
    assert not any(shape[-2:] == (50, 50) for shape in kept)


def test_a_block_starts_as_the_identity():
    x, where = torch.randn(2, 5, 24), places(5, 0)
    assert torch.equal(placed_block(24, 6)(x, attn_mask=DistanceBias(6)(where, where)), x)


def test_in_bfloat16_heads_look_at_the_same_tokens_all_over_the_brain():
    generator = torch.Generator().manual_seed(0)
    places = (torch.rand(1, 300, 4, generator=generator) - 0.5) * torch.tensor([180.0, 220.0, 180.0, 60.0])
    bias = DistanceBias(6)

    def attention() -> torch.Tensor:
        query, key = bias(places, places)
        return (query.double() @ key.double().mT).softmax(dim=-1)

    exact = attention()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = attention()
    assert bias(places, places).query.dtype == torch.float32
    assert (rounded - exact).abs().sum(dim=-1).max() / 2 < 0.03  # total variation; .1 and more with one part
