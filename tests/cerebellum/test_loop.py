import numpy as np
import pytest

from fmrifm.cerebellum.hrf import hrf
from fmrifm.cerebellum.loop import Pid, plant_loop, response_loop


def test_a_first_order_plant_without_feedback_follows_its_exponential():
    loop = plant_loop([1.0], [0.2, 1.0], Pid(0.0), 0.1, 0.005)
    y = loop.rollout(np.zeros(201), m=1.0).y
    np.testing.assert_allclose(y, 1 - np.exp(-np.arange(201) * 0.005 / 0.2), atol=1e-9)


def test_feedback_hears_of_an_error_so_many_frames_late():
    loop = plant_loop([1.0], [0.2, 1.0], Pid(1.0), 0.1, 0.005)
    u = loop.rollout(np.ones(60)).u
    assert not u[:20].any()
    assert u[20] == pytest.approx(1.0)


def test_integral_feedback_reaches_the_target():
    loop = plant_loop([1.0], [0.2, 1.0], Pid(1.0, 2.0), 0.1, 0.005)
    assert loop.rollout(np.ones(2000)).y[-1] == pytest.approx(1.0, abs=1e-3)


def test_anticipation_adds_its_convolution_with_the_loops_own_response():
    rng = np.random.default_rng(0)
    loop = plant_loop([144.0], [1.0, 4.8, 144.0], Pid(0.3, 2.0, 0.05), 0.1, 0.005)
    r, a, d, noise, m = rng.normal(size=(5, 300))
    both, alone = loop.rollout(r, a, d, noise, m), loop.rollout(r, d=d, noise=noise)
    added = np.convolve(a, loop.impulse(300))[:300] + np.convolve(m, loop.impulse(300, "motor"))[:300]
    np.testing.assert_allclose(both.y - alone.y, added, atol=1e-9)


def test_the_future_of_a_signal_changes_nothing_before_it():
    loop = response_loop(hrf(1.0), Pid(0.35, 0.03), 1, 1.0)
    rng = np.random.default_rng(0)
    a = rng.normal(size=60)
    changed = np.concatenate([a[:31], rng.normal(size=29)])
    before, after = loop.rollout(np.ones(60), a), loop.rollout(np.ones(60), changed)
    np.testing.assert_array_equal(before.u[:31], after.u[:31])
    np.testing.assert_array_equal(before.y[:32], after.y[:32])


def test_a_plant_given_by_its_response_answers_with_it():
    response = hrf(1.0)
    y = response_loop(response, Pid(0.0), 1, 1.0).rollout(np.zeros(40), m=np.eye(1, 40)[0]).y
    np.testing.assert_allclose(y[:32], response, atol=1e-12)
    with pytest.raises(ValueError, match="within the same frame"):
        response_loop(np.ones(3), Pid(0.0), 0, 1.0)
