import numpy as np
import pytest
import torch

from fmrifm.cerebellum.hrf import eligibility, hrf
from fmrifm.cerebellum.readout import HaemodynamicReadout

TR_S = 2.0


def design(rng: np.random.Generator, frames: int, features: int) -> np.ndarray:
    """Rare events of several kinds, shape (frames, features)."""
    return (rng.random((frames, features)) < 0.08).astype(float)


def test_its_step_is_the_gradient_through_the_convolution():
    rng = np.random.default_rng(0)
    phi, bold = rng.normal(size=(25, 4)), rng.normal(size=(25, 3))
    response, readout = hrf(TR_S), HaemodynamicReadout(4, 3, hrf(TR_S), rate=0.0)
    streamed = np.zeros((3, 4))
    for features, values in zip(phi, bold, strict=True):
        error = readout.step(features, values)
        streamed -= np.outer(error, readout.trace)
    weight = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    drive = torch.from_numpy(phi) @ weight.T
    kernel = torch.from_numpy(response.copy())
    said = torch.stack(
        [
            (kernel[: t + 1].flip(0)[:, None] * drive[max(0, t + 1 - len(kernel)) : t + 1][-len(kernel) :]).sum(0)
            for t in range(25)
        ]
    )
    (0.5 * (torch.from_numpy(bold) - said).square().sum()).backward()
    np.testing.assert_allclose(streamed, weight.grad.numpy(), rtol=1e-5, atol=1e-8)


@pytest.fixture(scope="module")
def experiment() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Events, BOLD without noise that follows them, and the general linear model's weights."""
    rng = np.random.default_rng(1)
    phi, weight = design(rng, 1500, 6), rng.normal(size=(5, 6))
    regressors = eligibility(phi.T, hrf(TR_S)).T
    bold = regressors @ weight.T
    return phi, bold, np.linalg.lstsq(regressors, bold, rcond=None)[0].T


def agreement(experiment: tuple[np.ndarray, ...], response: object) -> float:
    """Correlation of what was learnt with the general linear model."""
    phi, bold, expected = experiment
    readout = HaemodynamicReadout(6, 5, response, rate=0.1)
    for features, values in zip(phi, bold, strict=True):
        readout.step(features, values)
    return float(np.corrcoef(readout.weight.ravel(), expected.ravel())[0, 1])


def test_it_ends_at_the_general_linear_model_and_without_the_response_it_does_not(experiment):
    with_response = agreement(experiment, hrf(TR_S))
    assert with_response >= 0.99
    assert agreement(experiment, [1.0]) <= with_response - 0.2
