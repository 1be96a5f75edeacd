import numpy as np
import pytest
from nilearn.glm.first_level import spm_hrf

from fmrifm.cerebellum.hrf import eligibility, hrf


@pytest.mark.parametrize("tr_s", [0.5, 1.0, 2.5])
def test_the_response_sums_to_one_and_peaks_after_five_seconds(tr_s):
    response = hrf(tr_s)
    assert len(response) == np.ceil(32 / tr_s)
    assert response.sum() == pytest.approx(1)
    assert abs(tr_s * response.argmax() - 5) <= tr_s
    assert response[round(15 / tr_s)] < 0


def test_it_is_spms_response():
    """nilearn samples at the middle of its steps, hence the fine grid."""
    theirs = spm_hrf(1.0, oversampling=50, time_length=32)
    ours = hrf(0.02)
    assert np.corrcoef(ours, theirs[: len(ours)])[0, 1] > 0.999


def test_a_trace_is_the_convolution_and_knows_no_later_frame():
    rng = np.random.default_rng(0)
    basis, kernel = rng.normal(size=(3, 50)), hrf(2.0)
    trace = eligibility(basis, kernel)
    np.testing.assert_allclose(trace, [np.convolve(row, kernel)[:50] for row in basis], atol=1e-12)
    changed = basis.copy()
    changed[:, 20] += 5
    moved = eligibility(changed, kernel) != trace
    assert not moved[:, :20].any()
    assert moved[:, 22].all()
