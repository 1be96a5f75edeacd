import torch
from torch import nn

from fmrifm.cerebellum import order
from fmrifm.cerebellum.order import scans, train


def test_the_label_tells_which_pattern_came_first():
    x, label = scans(300, torch.Generator().manual_seed(1))
    patterns = nn.functional.normalize(torch.randn(2, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    seen = (x @ patterns.T).argmax(dim=1)  # frame at which each pattern is strongest
    first = seen.argmin(dim=1)
    assert (first == label).float().mean() > 0.9
    assert (seen < 20).float().mean() > 0.9


def test_the_mean_over_the_scan_knows_nothing_of_it():
    x, label = scans(400, torch.Generator().manual_seed(1))
    mean = x.mean(dim=1)
    weight = torch.linalg.lstsq(mean[:200], 2.0 * label[:200, None] - 1).solution
    assert abs(float((((mean[200:] @ weight)[:, 0] > 0) == label[200:]).float().mean()) - 0.5) < 0.1


def test_training_is_the_same_for_the_same_seed(monkeypatch):
    monkeypatch.setattr(order, "_LEARNT", 50)
    monkeypatch.setattr(order, "_TESTED", 20)
    assert train("tbptt_sg", 20, 3, epochs=2) == train("tbptt_sg", 20, 3, epochs=2)
