import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from fmrifm.model.pooling import AttentionPooling, MeanPooling

WIDTH = 6


@pytest.fixture
def features() -> torch.Tensor:
    """Token features of 2 scans with 3 windows of 5 tokens, shape (2, 3, 5, W)."""
    return torch.randn(2, 3, 5, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def attention() -> AttentionPooling:
    """A query that looks somewhere."""
    torch.manual_seed(0)
    pooling = AttentionPooling(WIDTH)
    torch.nn.init.normal_(pooling.query, std=3.0)
    return pooling


def test_mean_pooling_is_the_mean_over_windows_and_tokens(features):
    pool = MeanPooling(WIDTH)
    assert torch.allclose(pool(features), features.reshape(2, -1, WIDTH).mean(dim=1), atol=1e-6)
    by_hand = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 0.0]]]])
    assert MeanPooling(2)(by_hand).tolist() == [[4.0, 3.0]]


def test_attention_starts_as_the_mean_of_normed_tokens_under_a_linear_map(features):
    pool = AttentionPooling(WIDTH)
    mean = torch.nn.functional.layer_norm(features, (WIDTH,)).mean(dim=(1, 2))
    value = pool.attention.in_proj_weight[-WIDTH:]
    assert torch.allclose(pool(features), pool.attention.out_proj(mean @ value.T), atol=1e-6)


def test_attention_is_the_plain_formula_over_tokens_of_all_windows(attention, features):
    heads = attention.attention.num_heads
    assert heads == 2
    tokens = torch.nn.functional.layer_norm(features[0].flatten(0, 1), (WIDTH,))
    to_q, to_k, to_v = attention.attention.in_proj_weight.chunk(3)
    mixed = []
    for q, k, v in zip(*((x @ to.T).chunk(heads, dim=1) for x, to in
                         ((attention.query[0], to_q), (tokens, to_k), (tokens, to_v))), strict=True):  # fmt: skip
        mixed.append(torch.softmax(q @ k.T / (WIDTH / heads) ** 0.5, dim=1) @ v)
    expected = attention.attention.out_proj(torch.cat(mixed, dim=1))[0]
    assert torch.allclose(attention(features)[0], expected, atol=1e-5)


def test_attention_does_not_look_at_tokens_without_signal(attention, features):
    silent = features.clone()
    silent[:, 1, 2:] = 0
    seen = torch.tensor([0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14])
    assert torch.allclose(attention(silent), attention(features.flatten(1, 2)[:, None, seen]), atol=1e-6)


def test_every_weight_of_the_attention_learns(attention, features):
    attention(features).square().sum().backward()
    assert [name for name, weight in attention.named_parameters() if not weight.grad.any()] == []


@pytest.mark.parametrize("kind", [MeanPooling, AttentionPooling])
def test_every_pooling_knows_the_length_of_its_vector(kind, features):
    pool = kind(WIDTH)
    assert pool.size == WIDTH
    assert pool(features).shape == (2, WIDTH)
    assert torch.equal(pool.vectorise(pool.summarise(features)), pool(features))


def planted(scans: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (S, 3, 20, W) and labels. Three tokens marked in channel 0 rise with the label in channel 1.

    Three others, marked in channel 2, fall by as much: the mean over tokens tells nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(scans, 60, WIDTH, generator=generator)
    label = torch.arange(scans) % 2
    six = torch.rand(scans, 60, generator=generator).argsort(dim=1)[:, :6]
    for channel, sign, places in ((0, 1.5, six[:, :3]), (2, -1.5, six[:, 3:])):
        row = torch.arange(scans)[:, None]
        tokens[row, places, channel] += 5
        tokens[row, places, 1] += sign * (2 * label[:, None] - 1)
    return tokens.view(scans, 3, 20, WIDTH), label


def test_attention_finds_a_difference_of_few_tokens_that_the_mean_does_not_hold():
    (features, label), (held_out, truth) = planted(200, 0), planted(200, 1)
    mean = MeanPooling(WIDTH)
    linear = LogisticRegression().fit(mean(features), label)
    assert roc_auc_score(truth, linear.decision_function(mean(held_out))) < 0.6
    torch.manual_seed(0)
    network = torch.nn.Sequential(AttentionPooling(WIDTH), torch.nn.Linear(WIDTH, 1), torch.nn.Flatten(0))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(150):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(features), label.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert roc_auc_score(truth, network(held_out).detach()) > 0.95
