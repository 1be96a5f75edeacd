import pytest
import torch

from fmrifm.cerebellum.synthesiser import Synthesiser


def test_it_expects_nothing_before_it_has_learnt():
    found = Synthesiser(6, ctx_dim=2, layers=2)(torch.randn(3, 6), torch.randn(3, 2))
    assert found.shape == (3, 6)
    assert not found.any()


@pytest.mark.parametrize("fan_in", [4, 1])
def test_a_granule_cell_hears_its_few_fibres_whatever_it_learns(fan_in):
    torch.manual_seed(0)
    synthesiser = Synthesiser(9, granule=20, fan_in=fan_in)
    torch.nn.init.normal_(synthesiser.purkinje.weight)
    optimizer = torch.optim.AdamW(synthesiser.parameters(), lr=1e-2, weight_decay=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        synthesiser(torch.randn(8, 9)).square().sum().backward()
        optimizer.step()
    assert ((synthesiser.mossy_weight != 0).sum(dim=1) == fan_in).all()


def test_it_learns_a_gradient_by_the_context_alone():
    torch.manual_seed(0)
    synthesiser, context = Synthesiser(4, ctx_dim=2, granule=32), torch.eye(2)
    target = torch.tensor([[1.0, 0, 0, -1], [-1, 2, 0, 1]])
    optimizer = torch.optim.Adam(synthesiser.parameters(), lr=1e-2)
    for _ in range(300):
        loss = (synthesiser(torch.zeros(2, 4), context) - target).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1e-3
