"""A trained-looking classifier over the small store, and one of its scans."""

import pytest
import torch

from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.probe import scan_windows
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained

Scan = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture
def scan(store: Store) -> Scan:
    """All four windows of a case, and its repetition time."""
    return scan_windows(Windows(store, ["s03_1"], 8), 0)


@pytest.fixture
def shaken(pretrained: Pretrained) -> ScanClassifier:
    """A connectivity classifier whose tokens attend to each other, as they do in a trained encoder."""
    torch.manual_seed(1)
    classifier = ScanClassifier(pretrained.model, "connectivity")
    with torch.no_grad():
        for parameter in classifier.autoencoder.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return classifier.eval()
