import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "benchmarks"))
from swin4d import Block, Swin4D, attention

SIZE = (8, 4, 8, 8)


def test_it_has_the_parameters_of_swift() -> None:
    with torch.device("meta"):
        model = Swin4D(96, 20, fused=True)
    assert sum(part.numel() for part in model.parameters()) == pytest.approx(4.3e6, rel=0.01)
    assert model.tokens == 16**3 * 20


def test_fused_attention_gives_the_same_scores() -> None:
    torch.manual_seed(0)
    model, other = Swin4D(48, 8, fused=False), Swin4D(48, 8, fused=True)
    other.load_state_dict(model.state_dict())
    signal = torch.randn(2, 8, 48, 48, 48)
    scores = model(signal)
    assert scores.shape == (2,)
    torch.testing.assert_close(other(signal), scores)


@pytest.mark.parametrize(
    ("shift", "seen"),
    [(None, [range(4), range(4), range(4), range(4)]), ((2, 0, 2, 2), [range(2), range(4), range(2), range(2)])],
)
def test_a_token_sees_its_window_and_not_the_other_end(shift, seen) -> None:
    torch.manual_seed(0)
    block = Block(12, SIZE, 3, (4, 4, 4, 4), shift, attention)
    x = torch.randn(1, *SIZE, 12, requires_grad=True)
    block(x)[0, 0, 0, 0, 0].sum().backward()
    depends = x.grad[0].abs().sum(dim=-1) > 1e-12
    expected = torch.zeros(SIZE, dtype=torch.bool)
    expected[tuple(slice(part.start, part.stop) for part in seen)] = True
    assert torch.equal(depends, expected)
