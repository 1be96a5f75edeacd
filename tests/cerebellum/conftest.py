import numpy as np
import pytest
import torch

from fmrifm.cerebellum.predictors import AttentionPredictor, CerebellarPredictor, Predictor
from fmrifm.cerebellum.references import Persistence, autoregression, vector_autoregression
from fmrifm.cerebellum.synthetic import linear_scans, network

KINDS = ["attention", "feed-forward", "recurrent", "persistence", "autoregression", "vector autoregression"]


@pytest.fixture(scope="session")
def scans() -> torch.Tensor:
    """Twenty-four scans of a linear network, 90 frames of 7 parcels."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(linear_scans(network(7, rng), 24, 90, rng))


@pytest.fixture(scope="session")
def make(scans: torch.Tensor):
    """Make a predictor of 7 parcels by name, with random weights where it learns by gradient."""

    def build(kind: str) -> Predictor:
        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(0)
        made = {
            "attention": lambda: AttentionPredictor(7, d=8, layers=2, context=5, heads=2),
            "feed-forward": lambda: CerebellarPredictor(7, lags=5, granule=40, generator=generator),
            "recurrent": lambda: CerebellarPredictor(7, lags=5, granule=40, recurrent=True, generator=generator),
            "persistence": lambda: Persistence(7),
            "autoregression": lambda: autoregression(scans[:8], 5),
            "vector autoregression": lambda: vector_autoregression(scans[:8], 5),
        }[kind]()
        for parameter in made.parameters():  # what starts at 0 would predict the mean whatever it sees
            torch.nn.init.normal_(parameter, std=0.3)
        return made.eval()

    return build
