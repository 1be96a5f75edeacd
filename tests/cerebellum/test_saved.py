import torch

from fmrifm.cerebellum.saved import counted_bytes


def test_what_a_product_keeps_is_counted_and_let_go():
    x = torch.ones(10, 3, requires_grad=True)
    with counted_bytes() as peak:
        y = x * x  # keeps both factors, 120 bytes each
        first = peak.bytes
        y.sum().backward()
        del y
        (x * 2).sum().backward()
    assert first == 240
    assert peak.bytes == 240
    assert peak.now == 0


def test_weights_do_not_count_since_they_are_there_anyway():
    layer, x = torch.nn.Linear(4, 5), torch.ones(2, 4)
    with counted_bytes() as peak:
        layer(x).sum().backward()
    assert peak.bytes == 2 * 4 * 4
