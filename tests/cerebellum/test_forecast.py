import math

import numpy as np
import pytest
import torch

from fmrifm.cerebellum.forecast import ahead, explained, rollout, skill
from fmrifm.cerebellum.learning import fit
from fmrifm.cerebellum.predictors import AttentionPredictor, CerebellarPredictor
from fmrifm.cerebellum.references import LinearPredictor, Persistence, autoregression, vector_autoregression
from fmrifm.cerebellum.synthetic import linear_scans, network
from tests.cerebellum.conftest import KINDS


def doubling() -> LinearPredictor:
    """Expects twice the present frame."""
    return LinearPredictor(2 * torch.eye(2)[:, None], torch.zeros(2))


def test_predictions_ahead_are_predicted_on_from_predictions():
    x = torch.arange(1.0, 41.0).reshape(1, 20, 2)
    for horizon in (1, 2, 3):
        predicted, actual = ahead(doubling(), x, horizon, memory=4)
        assert predicted.shape == actual.shape == (1, 20 - 4 - horizon + 1, 2)
        torch.testing.assert_close(predicted, 2**horizon * x[:, 3 : 20 - horizon])
        torch.testing.assert_close(actual, x[:, 3 + horizon :])


@pytest.mark.parametrize("kind", KINDS)
def test_a_prediction_ahead_knows_no_frame_of_its_horizon(kind, make, scans):
    changed = scans[:2].clone()
    changed[:, 60] += 3
    for horizon in (1, 3):
        before, _ = ahead(make(kind), scans[:2], horizon, memory=10)
        after, _ = ahead(make(kind), changed, horizon, memory=10)
        known = 60 - 10 + 1  # predictions whose windows end before that frame
        assert float((before[:, :known] - after[:, :known]).abs().max()) <= 1e-6
        assert float((before[:, known] - after[:, known]).abs().max()) > 1e-6


def test_skill_is_what_is_left_of_the_references_error(scans):
    assert skill(Persistence(7), scans, Persistence(7)) == {1: 0.0, 2: 0.0, 3: 0.0}
    zero = LinearPredictor(torch.zeros(7, 1, 7), torch.zeros(7))
    assert skill(Persistence(7), scans, zero)[1] == pytest.approx(explained(Persistence(7), scans), abs=1e-6)


def test_a_rollout_without_noise_decays_and_with_noise_keeps_the_variance():
    rng = np.random.default_rng(0)
    scans = torch.from_numpy(linear_scans(network(12, rng), 40, 200, rng))
    predictor = fit(CerebellarPredictor(12, lags=8, granule=60), scans, torch.Generator().manual_seed(0))
    still = rollout(predictor, scans[:, :16], 100, noise=False)
    noisy = rollout(predictor, scans[:, :16], 100, noise=True, generator=torch.Generator().manual_seed(0))
    assert still.shape == noisy.shape == (40, 100, 12)
    assert float(still[:, 60:].var()) < 0.05
    assert 0.7 < float(noisy[:, 30:].var() / scans.var()) < 1.3


def test_a_seed_makes_the_same_rollout(scans, make):
    one, two = (
        rollout(make("attention"), scans[:2, :9], 5, noise=True, generator=torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    assert torch.equal(one, two)


def test_white_noise_cannot_be_predicted():
    generator = torch.Generator().manual_seed(0)
    train, test = torch.randn(60, 120, 7, generator=generator).split([40, 20])
    predictors = [
        autoregression(train, 8),
        vector_autoregression(train, 8),
        fit(CerebellarPredictor(7, lags=8, granule=60), train, generator),
        fit(CerebellarPredictor(7, lags=8, granule=60, recurrent=True), train, generator, epochs=2),
        fit(AttentionPredictor(7, d=8, context=8, heads=2), train, generator, epochs=6),
    ]
    for predictor in predictors:
        assert abs(explained(predictor, test)) <= 0.02


def test_a_scrubbed_frame_is_no_target(scans):
    """Nonsense in frames that do not count leaves what is learnt of the next frame as it was, but for what is seen."""
    kept = torch.ones(scans.shape[:2], dtype=torch.bool)
    kept[:, 50:] = False
    changed = scans.clone()
    changed[:, 50:] = 7.0
    one, two = (
        fit(CerebellarPredictor(7, lags=4, granule=30), x, torch.Generator().manual_seed(0), kept=kept)
        for x in (scans, changed)
    )
    torch.testing.assert_close(one.readout.weight, two.readout.weight)
    assert math.isclose(float(one.covariance.trace()), float(two.covariance.trace()), rel_tol=1e-4)
