import pytest
import torch

from fmrifm.cerebellum.predictors import AttentionPredictor, CerebellarPredictor, recent, width_for
from tests.cerebellum.conftest import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_no_prediction_depends_on_a_later_frame(kind, make, scans):
    predictor, changed = make(kind), scans[:3].clone()
    changed[:, 40] += 3
    with torch.no_grad():
        before, after = predictor(scans[:3]).mu, predictor(changed).mu
    assert before.shape == scans[:3].shape
    assert float((before[:, :40] - after[:, :40]).abs().max()) <= 1e-6
    assert float((before[:, 40] - after[:, 40]).abs().max()) > 1e-3


@pytest.mark.parametrize("kind", ["attention", "feed-forward", "autoregression", "vector autoregression"])
def test_what_is_older_than_the_context_does_not_count(kind, make, scans):
    predictor, changed = make(kind), scans[:3].clone()
    changed[:, 40] += 3
    with torch.no_grad():
        differs = (predictor(scans[:3]).mu - predictor(changed).mu).abs().amax(dim=(0, 2)) > 1e-6
    assert differs.nonzero().flatten().tolist() == list(range(40, 40 + predictor.context))


def test_the_past_comes_oldest_first_with_zeros_before_the_start():
    x = torch.arange(1.0, 5.0).reshape(1, 4, 1)
    assert recent(x, 3)[0, :, :, 0].tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_what_comes_back_is_the_prediction_of_the_present_frame(make, scans):
    predictor = make("recurrent")
    with torch.no_grad():
        mu = predictor(scans[:2]).mu
        past = recent(scans[:2], 5).flatten(2)
        again = predictor.readout(predictor.features(torch.cat([past[:, 7], mu[:, 6]], dim=-1)))
    torch.testing.assert_close(mu[:, 7], again)


@pytest.mark.parametrize("parcels", [40, 166])
def test_both_circuits_learn_as_many_numbers(parcels):
    circuits = [CerebellarPredictor(parcels, recurrent=back) for back in (False, True)]
    width = width_for(parcels, circuits[0].trainable)
    circuits.append(AttentionPredictor(parcels, d=width))
    counts = [circuit.trainable for circuit in circuits]
    assert max(counts) <= 1.1 * min(counts)
