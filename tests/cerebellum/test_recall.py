import pytest
import torch
from torch import nn

from fmrifm.cerebellum.recall import Sequences, digits, scans, train


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


def test_digits_come_row_by_row_and_none_is_tested_that_was_learnt():
    data = digits(torch.Generator().manual_seed(0))
    assert data.x.shape == (1438, 8, 8)
    assert data.tested.shape == (359, 8, 8)
    assert (data.x.max(), data.classes) == (1.0, 10)


def few() -> Sequences:
    generator = torch.Generator().manual_seed(3)
    return Sequences(*scans(60, generator), *scans(20, generator), classes=2)


@pytest.mark.parametrize("credit", ["full", "gradcache", "tbptt", "tbptt_dense", "tbptt_sg"])
def test_training_is_the_same_for_the_same_seed(credit):
    one, other = (train(few(), credit, 20, torch.Generator().manual_seed(5), epochs=2) for _ in range(2))
    assert one == other


def test_digits_are_learnt_by_the_whole_graph():
    generator = torch.Generator().manual_seed(0)
    assert train(digits(generator), "full", 8, generator, epochs=6)[-1] > 0.6
