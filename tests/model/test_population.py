import numpy as np
import pytest
import torch

from fmrifm.model.draws import Draw
from fmrifm.model.population import NOISE_IS_SHARED, PopulationPrior

CHUNKS, TERMS, PATCH = 5, 2, 3
VOXELS = torch.tensor([4.0, 9.0, 1.0, 16.0, 2.0])


def planted(volumes: int = 40_000) -> np.ndarray:
    """Two hidden signals, each in chunks of its own, and noise: shape (S, K, M)."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(volumes, 2))
    mixing = np.zeros((2, CHUNKS, TERMS))
    mixing[0, :3, 0], mixing[1, 3:, :] = (2.0, 1.0, 3.0), 1.5
    noise = 0.5 * rng.normal(size=(volumes, CHUNKS, TERMS)) / np.sqrt(VOXELS.numpy())[:, None]
    return (np.einsum("sc,ckm->skm", signal, mixing) + noise).astype(np.float32)


@pytest.fixture
def prior() -> PopulationPrior:
    prior = PopulationPrior(CHUNKS, TERMS, 2)
    prior.fit(planted(), VOXELS, seed=0)
    return prior


def drawn(visible: list[int], query: list[int]) -> Draw:
    return Draw(torch.tensor([visible]), torch.tensor([query]))


def test_the_components_give_the_covariance_that_was_planted(prior):
    loadings = prior.loadings.flatten(0, 1)
    sample = planted().reshape(-1, CHUNKS * TERMS)
    measured = torch.from_numpy(np.cov(sample.T)).float()
    off_diagonal = ~torch.eye(len(measured), dtype=torch.bool)
    torch.testing.assert_close((loadings @ loadings.T)[off_diagonal], measured[off_diagonal], atol=0.05, rtol=0.05)


def test_what_is_expected_is_the_conditional_mean_of_a_gaussian(prior):
    volumes = torch.randn(1, CHUNKS, TERMS, PATCH, generator=torch.Generator().manual_seed(0))
    visible, query = [0, 3], [1, 2, 4]
    loadings, variance = prior.loadings.double(), 1 / prior.precision.double()
    seen, asked = loadings[visible].flatten(0, 1), loadings[query].flatten(0, 1)
    covariance = seen @ seen.T + variance[visible].flatten().diag()
    expected = asked @ seen.T @ torch.linalg.inv(covariance) @ volumes[0, visible].flatten(0, 1).double()
    found = prior(volumes, drawn(visible, query))
    torch.testing.assert_close(found[0].flatten(0, 1).double(), expected, atol=1e-4, rtol=1e-4)


def test_hidden_tokens_are_predicted_from_those_that_share_their_signal_alone(prior):
    volumes = torch.zeros(1, CHUNKS, TERMS, PATCH)
    volumes[0, 0, 0] = 2.0
    volumes[0, 1, 0] = 1.0
    found = prior(volumes, drawn([0, 1], [2, 4]))
    assert found[0, 0, 0].tolist() == pytest.approx([3.0] * PATCH, abs=0.1)
    assert found[0, 1].abs().max() < 0.05


def test_each_time_patch_is_predicted_from_its_own_volumes(prior):
    volumes = torch.randn(1, 2 * CHUNKS, TERMS, PATCH, generator=torch.Generator().manual_seed(0))
    both = prior(volumes, drawn([0, 1, CHUNKS], [2, CHUNKS + 1]))
    first = prior(volumes, drawn([0, 1], [2]))
    second = prior(volumes[:, CHUNKS:], drawn([0], [1]))
    torch.testing.assert_close(both, torch.cat([first, second], dim=1), atol=1e-5, rtol=1e-5)


def test_hidden_tokens_are_not_looked_at(prior):
    volumes = torch.randn(1, CHUNKS, TERMS, PATCH, generator=torch.Generator().manual_seed(0))
    spoilt = volumes.clone()
    spoilt[:, 2:] = float("nan")
    assert torch.equal(prior(volumes, drawn([0, 1], [2, 3])), prior(spoilt, drawn([0, 1], [2, 3])))


def test_a_token_without_signal_is_no_observation(prior):
    volumes = torch.randn(1, CHUNKS, TERMS, PATCH, generator=torch.Generator().manual_seed(0))
    volumes[:, 1] = 0
    torch.testing.assert_close(prior(volumes, drawn([0, 1], [2])), prior(volumes, drawn([0], [2])))


def test_noise_counts_as_shared_by_neighbours(prior):
    noise = 0.25 / VOXELS[3:, None].expand(-1, TERMS)
    torch.testing.assert_close(1 / prior.precision[3:], NOISE_IS_SHARED * noise, rtol=0.15, atol=0)


def test_before_it_is_fitted_and_where_nothing_varies_it_expects_nothing():
    volumes = torch.randn(1, CHUNKS, TERMS, PATCH, generator=torch.Generator().manual_seed(0))
    prior = PopulationPrior(CHUNKS, TERMS, 2)
    assert not prior(volumes, drawn([0, 1], [2])).any()
    sample = planted(300)
    sample[:, 2] = 0
    prior.fit(sample, VOXELS, seed=0)
    assert torch.equal(prior.precision[2], torch.zeros(TERMS))
    assert prior(volumes, drawn([0, 2], [1])).isfinite().all()


def test_a_sample_with_fewer_volumes_than_components_serves():
    prior = PopulationPrior(CHUNKS, TERMS, 9)
    prior.fit(planted(6), VOXELS, seed=0)
    assert prior.loadings.isfinite().all()
    assert prior.loadings[..., :2].any()
    assert not prior.loadings[..., 2:].any()
