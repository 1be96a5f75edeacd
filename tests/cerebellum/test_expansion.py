import pytest
import torch

from fmrifm.cerebellum.expansion import GranuleLayer, sparse_mask


@pytest.mark.parametrize("fan_in", [1, 4, 9])
def test_every_cell_hears_as_many_inputs_as_asked(fan_in):
    mask = sparse_mask(70, 9, fan_in, torch.Generator().manual_seed(0))
    assert mask.shape == (70, 9)
    assert (mask.sum(dim=1) == fan_in).all()
    assert fan_in == 9 or len(mask.unique(dim=0)) > 1


@pytest.mark.parametrize("fan_in", [0, 5])
def test_more_inputs_than_there_are_is_an_error(fan_in):
    with pytest.raises(ValueError, match="of 4"):
        sparse_mask(3, 4, fan_in, torch.Generator())


def test_nothing_in_the_expansion_learns_and_a_seed_makes_it_anew():
    layers = [GranuleLayer(12, 50, 4, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)]
    assert not list(layers[0].parameters())
    assert torch.equal(layers[0].weight, layers[1].weight)
    assert not torch.equal(layers[0].weight, layers[2].weight)
    assert ((layers[0].weight != 0).sum(dim=1) == 4).all()


def test_each_cell_is_silent_for_the_share_asked_for():
    generator = torch.Generator().manual_seed(0)
    layer, mossy = GranuleLayer(12, 50, 4, generator), torch.randn(2000, 12, generator=generator)
    layer.calibrate(mossy, silent=0.7)
    torch.testing.assert_close((layer(mossy) == 0).float().mean(dim=0), torch.full((50,), 0.7), atol=0.01, rtol=0)


def test_a_cell_adds_up_what_it_hears_above_its_threshold():
    layer = GranuleLayer(5, 1, 2, torch.Generator().manual_seed(0))
    layer.threshold.fill_(0.25)
    mossy = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])
    heard = layer.weight[0].nonzero().flatten().tolist()
    drive = sum(float(layer.weight[0, i]) * (i + 1) for i in heard) - 0.25
    assert float(layer(mossy)) == pytest.approx(max(0.0, drive))
