import numpy as np
import pytest
import torch

from fmrifm.attribution.rollout import region_rollout
from fmrifm.model.attention import PlacedAttention
from fmrifm.model.heads import ScanClassifier


def test_where_every_token_looks_everywhere_a_region_gets_its_share_of_tokens(shaken: ScanClassifier, scan) -> None:
    with torch.no_grad():
        for part in shaken.autoencoder.encoder.modules():
            if isinstance(part, PlacedAttention):
                part.to_q.weight.zero_()
    shaken.autoencoder.encoder.bias.scale.zero_()
    tokenizer = shaken.autoencoder.tokenizer
    share = tokenizer.counts / tokenizer.counts.sum(dim=0) / len(tokenizer.region)
    assert region_rollout(shaken, *scan) == pytest.approx(share.sum(dim=1).numpy(), abs=1e-6)


def test_the_attention_seen_is_the_one_that_mixes_the_values(shaken: ScanClassifier, scan) -> None:
    torch.manual_seed(0)
    attention = shaken.autoencoder.encoder.blocks[0].attn
    places = shaken.autoencoder.tokenizer.places(scan[1])
    x, bias = torch.randn(1, places.shape[1], 24), shaken.autoencoder.encoder.bias(places, places)
    mixed = attention.weights(x, bias) @ attention._heads(attention.to_v(x))
    expected = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    assert torch.allclose(attention(x, bias), expected, atol=1e-5)


def test_shares_add_up_to_one_and_leave_no_hook(shaken: ScanClassifier, scan) -> None:
    shares = region_rollout(shaken, *scan)
    assert shares.sum() == pytest.approx(1)
    assert (shares > 0).all()
    assert not any(part._forward_hooks for part in shaken.modules())
    assert np.array_equal(shares, region_rollout(shaken, *scan))
