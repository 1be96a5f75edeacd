import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from fmrifm.cerebellum.learning import fit
from fmrifm.cerebellum.predictors import CerebellarPredictor
from fmrifm.cerebellum.references import Persistence
from fmrifm.cerebellum.surprise import surprise, without_motion


def test_surprise_is_the_squared_error_in_innovation_variances():
    x = torch.tensor([[[0.0, 0.0], [1.0, 2.0], [1.0, 5.0]]])
    predictor = Persistence(2)
    predictor.covariance.copy_(torch.diag(torch.tensor([0.5, 4.0])))
    assert surprise(predictor, x).tolist() == [[[2.0, 1.0], [0.0, 9.0 / 4]]]


def test_what_is_expected_without_scrubbing_surprises_by_one(scans):
    predictor = fit(CerebellarPredictor(7, lags=8, granule=60), scans[:18], torch.Generator().manual_seed(0))
    assert abs(float(surprise(predictor, scans[18:])[:, 8:].mean()) - 1) < 0.25


def test_motion_is_taken_out():
    rng = np.random.default_rng(0)
    displacement = rng.exponential(0.2, 500)
    displacement[3] = np.nan
    true = np.array([1.0, 2.0, 0.5])
    values = true + np.outer(np.nan_to_num(displacement), [0.0, 3.0, 10.0]) + 0.01 * rng.normal(size=(500, 3))
    values[3] = 1000
    still = np.nanquantile(displacement, 0.1)
    np.testing.assert_allclose(without_motion(values, displacement), true + still * np.array([0, 3, 10]), atol=0.01)
    assert (values.mean(axis=0)[1:] > true[1:] + 0.5).all()


def test_where_nothing_moves_the_mean_stands():
    values = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(without_motion(values, np.zeros(4)), values.mean(axis=0))


def test_pulses_surprise_where_they_are(scans):
    """Pulses of three innovation deviations over two frames in one parcel: at least .78, and .03 above raw signal."""
    predictor = fit(CerebellarPredictor(7, lags=8, granule=60), scans[:18], torch.Generator().manual_seed(0))
    test, rng = scans[18:].clone(), np.random.default_rng(0)
    hit = np.zeros(test.shape, bool)
    for scan in range(len(test)):
        for start in rng.choice(np.arange(12, 86, 6), 6, replace=False):
            parcel = rng.integers(7)
            test[scan, start : start + 2, parcel] += 3 * float(predictor.covariance[parcel, parcel]) ** 0.5
            hit[scan, start, parcel] = True
    found = surprise(predictor, test)[:, 9:].numpy()
    truth = hit[:, 10:]
    score = roc_auc_score(truth.ravel(), found.ravel())
    raw = roc_auc_score(truth.ravel(), test[:, 10:].abs().numpy().ravel())
    assert score >= 0.78
    assert score >= raw + 0.03
