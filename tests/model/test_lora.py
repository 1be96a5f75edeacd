import copy

import pytest
import torch
from torch import nn

from fmrifm.model.lora import add_lora, lora_factors, merge_lora
from fmrifm.model.mae import MaskedAutoencoder

TR_S = torch.tensor([2.0, 2.0, 1.5])
RANK = 3


@pytest.fixture
def adapted(model) -> MaskedAutoencoder:
    """The same model with low-rank changes, still none."""
    adapted = copy.deepcopy(model)
    add_lora(adapted.encoder, RANK, torch.Generator().manual_seed(0))
    return adapted


def train(model: MaskedAutoencoder, signal: torch.Tensor) -> None:
    """Move whatever learns, and the encoder's output with it."""
    optimizer = torch.optim.SGD([weight for weight in model.encoder.parameters() if weight.requires_grad], lr=1.0)
    for _ in range(2):
        optimizer.zero_grad()
        model.features(signal, TR_S).square().mean().backward()
        optimizer.step()


@torch.no_grad()
def test_at_the_start_the_encoder_gives_the_same_bits(model, adapted, signal):
    assert torch.equal(adapted.features(signal, TR_S), model.features(signal, TR_S))


def test_only_the_low_rank_matrices_learn_and_both_move(model, adapted, signal):
    train(adapted, signal)
    learnt = {name for name, weight in adapted.encoder.named_parameters() if weight.requires_grad}
    assert learnt == {
        f"blocks.{block}.attn.{linear}.parametrizations.weight.0.{factor}"
        for block in (0, 1) for linear in ("to_q", "to_v") for factor in "ab"
    }  # fmt: skip
    start = lora_factors(copy.deepcopy(model).encoder)
    assert len(start) == 0
    for name, factor in lora_factors(adapted.encoder).items():
        assert factor.b.any(), name
    before, after = model.encoder.state_dict(), adapted.encoder.state_dict()
    for name, weight in before.items():
        kept = name if name in after else name.replace(".weight", ".parametrizations.weight.original")
        assert torch.equal(after[kept], weight), name


def test_as_many_numbers_learn_as_one_counts_by_hand(adapted):
    learnt = sum(weight.numel() for weight in adapted.encoder.parameters() if weight.requires_grad)
    assert learnt == 2 * 2 * RANK * (24 + 24)  # layers, projections, rows and columns of a 24 x 24 weight


@torch.no_grad()
def test_a_weight_changes_by_the_product(model, adapted):
    factors = lora_factors(adapted.encoder)["blocks_1_attn_to_v"]
    factors.b.copy_(torch.randn(24, RANK))
    changed, before = adapted.encoder.blocks[1].attn.to_v.weight, model.encoder.blocks[1].attn.to_v.weight
    assert torch.allclose(changed - before, factors.b @ factors.a, atol=1e-6)
    assert torch.linalg.matrix_rank(changed - before, atol=1e-4) == RANK


def test_merged_the_encoder_is_plain_and_gives_the_same(model, adapted, signal):
    train(adapted, signal)
    with torch.no_grad():
        apart = adapted.features(signal, TR_S)
        merge_lora(adapted.encoder)
        assert torch.allclose(adapted.features(signal, TR_S), apart, atol=1e-6)
        assert not torch.allclose(apart, model.features(signal, TR_S), atol=1e-3)
    assert adapted.state_dict().keys() == model.state_dict().keys()


def test_the_matrices_depend_on_the_generator_alone(model):
    def drawn(seed: int) -> torch.Tensor:
        encoder = copy.deepcopy(model.encoder)
        add_lora(encoder, RANK, torch.Generator().manual_seed(seed))
        return lora_factors(encoder)["blocks_0_attn_to_q"].a

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))


def test_an_encoder_without_such_projections_is_refused():
    with pytest.raises(ValueError, match="no linear layer called to_q or to_v in Sequential"):
        add_lora(nn.Sequential(nn.Linear(3, 3)), RANK, torch.Generator())
