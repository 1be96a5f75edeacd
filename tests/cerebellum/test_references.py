import numpy as np
import torch

from fmrifm.cerebellum.forecast import explained
from fmrifm.cerebellum.references import Persistence, autoregression, examples, vector_autoregression


def coupled(weight: np.ndarray, scans: int = 20, frames: int = 200) -> torch.Tensor:
    """A first-order process without observation noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(scans, frames, len(weight)))
    for frame in range(1, frames):
        x[:, frame] += x[:, frame - 1] @ weight.T
    return torch.from_numpy(x.astype(np.float32))


def test_the_past_of_an_example_is_whole_and_its_target_follows():
    x = torch.arange(10.0).reshape(1, 5, 2)
    past, target = examples(x, 2)
    np.testing.assert_array_equal(past, [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]])
    np.testing.assert_array_equal(target, [[4, 5], [6, 7], [8, 9]])


def test_regression_on_all_parcels_finds_the_coupling():
    weight = np.array([[0.5, 0.0, 0.3], [0.0, 0.4, 0.0], [-0.4, 0.0, 0.2]])
    found = vector_autoregression(coupled(weight), 2)
    np.testing.assert_allclose(found.weight[:, 1], weight, atol=0.05)  # of the newest frame
    np.testing.assert_allclose(found.weight[:, 0], 0, atol=0.05)


def test_autoregression_hears_a_parcels_own_past_alone():
    weight = np.diag([0.8, -0.5, 0.1])
    found = autoregression(coupled(weight), 2)
    np.testing.assert_allclose(found.weight[:, 1].diagonal(), weight.diagonal(), atol=0.05)
    off = found.weight.clone()
    off[torch.arange(3), :, torch.arange(3)] = 0
    assert not off.any()


def test_persistence_repeats_the_frame(scans):
    torch.testing.assert_close(Persistence(7)(scans).mu, scans)


def test_references_come_in_the_order_that_a_network_asks_for(scans):
    train, test = scans[:18], scans[18:]
    single, all_parcels = autoregression(train, 8), vector_autoregression(train, 8)
    assert explained(Persistence(7), test) < explained(single, test) < explained(all_parcels, test)
