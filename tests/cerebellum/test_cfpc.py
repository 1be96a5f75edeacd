import numpy as np
import pytest

from fmrifm.cerebellum.anticipation import (
    STEPS,
    Task,
    floor,
    learning,
    motor_task,
    neurofeedback_task,
    scanner_noise,
)
from fmrifm.cerebellum.cfpc import CFPC, Trace, gaussian_bases, rms, shifted, traces
from fmrifm.cerebellum.hrf import hrf
from fmrifm.cerebellum.loop import Pid, response_loop


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("domain", ["sensory", "motor"])
def test_the_model_trace_is_the_gradient_through_the_loop(delay, domain):
    loop = response_loop(hrf(1.0), Pid(0.35, 0.03), delay, 1.0)
    rng = np.random.default_rng(0)
    bases = gaussian_bases(np.arange(5) * 6.0, 3.0, 40, 1.0)
    target, weight = rng.normal(size=40), rng.normal(size=5)

    def loss(of: np.ndarray) -> float:
        anticipation = {"a" if domain == "sensory" else "m": of @ bases}
        return 0.5 * float(np.square(loop.rollout(target, **anticipation).e).sum())

    error = loop.rollout(target, **{"a" if domain == "sensory" else "m": weight @ bases}).e
    ours = -traces(bases, "model", loop.impulse(40, domain)) @ error
    step = 1e-4 * np.eye(5)
    numeric = np.array([(loss(weight + one) - loss(weight - one)) / 2e-4 for one in step])
    assert np.linalg.norm(ours - numeric) / np.linalg.norm(numeric) < 1e-6


def test_a_basis_changes_no_trace_before_it_and_a_late_error_delays_it_by_as_much():
    kernel = hrf(1.0)
    bases = np.random.default_rng(0).normal(size=(3, 50))
    changed = bases.copy()
    changed[:, 20:] += 1
    before, after = traces(bases, "model", kernel), traces(changed, "model", kernel)
    np.testing.assert_array_equal(before[:, :20], after[:, :20])
    late = traces(bases, "model", kernel, late_frames=7)
    np.testing.assert_array_equal(late[:, 7:], before[:, :-7])
    assert not late[:, :7].any()
    np.testing.assert_array_equal(shifted(bases, 0), bases)


def test_learning_by_frames_is_learning_by_the_trial():
    rng = np.random.default_rng(0)
    bases, error = rng.normal(size=(4, 30)), rng.normal(size=30)
    whole, online = (CFPC(bases, traces(bases, "delay", delay_frames=3), 0.5) for _ in range(2))
    whole.trial(error)
    for frame, value in enumerate(error):
        online.step(float(value), frame)
    np.testing.assert_allclose(online.weight, whole.weight, atol=1e-12)


def test_the_trace_by_a_model_wants_one():
    with pytest.raises(ValueError, match="needs a kernel"):
        traces(np.ones((2, 5)), "model")


@pytest.fixture(scope="module")
def feedback() -> float:
    """Error of the neurofeedback loop under the best tuned feedback alone."""
    return min(rms(neurofeedback_task(kp).without) for kp in np.arange(0.1, 2, 0.1))


def last(**options: object) -> float:
    """Error of the last 10 of 60 neurofeedback trials."""
    task = neurofeedback_task(peak_s=float(options.pop("peak_s", 6.0)))  # type: ignore[arg-type]
    errors = learning(task, options.pop("trace", "model"), options.pop("beta", 0.5), 60, **options)  # type: ignore[arg-type]
    return float(np.mean([rms(error) for error in errors[-10:]]))


def test_neurofeedback_is_anticipated_to_a_quarter_of_tuned_feedback_and_near_the_floor(feedback):
    assert last() <= 0.25 * feedback
    assert last() <= 1.3 * floor(neurofeedback_task())


def test_without_a_trace_neurofeedback_gets_worse_than_feedback_alone(feedback):
    assert last(trace="none") > feedback


def test_a_delay_tuned_to_the_response_is_as_good_as_the_model():
    """Asserted so that nobody claims that only the model works."""
    assert last(trace="delay", delay_frames=6) <= 1.1 * last()


def test_a_response_that_is_two_seconds_off_costs_little():
    true = neurofeedback_task()
    for peak_s in (4.0, 8.0):
        kernel = neurofeedback_task(peak_s=peak_s).kernel
        errors = learning(true, "model", 0.5, 60, kernel=kernel)
        assert np.mean([rms(error) for error in errors[-10:]]) <= 1.25 * last()


def test_in_noise_neurofeedback_still_halves_the_error():
    task, shares = neurofeedback_task(), []
    for seed in range(6):
        noise = scanner_noise(60, 60, 0.5, np.random.default_rng(seed))
        alone = np.array([task.loop.rollout(task.target, noise=one).y - task.target for one in noise])
        heard = learning(task, "model", 0.1, 60, noise=noise)
        shares.append(np.mean([rms(e + n) for e, n in zip(heard[-10:], noise[-10:], strict=True)]) / rms(alone[-10:]))
    assert np.mean(shares) <= 0.45


def best(task: Task, trace: Trace, trials: int, delay_frames: int = 0) -> float:
    """Error of the last trial at the best of ten steps."""
    return min(rms(learning(task, trace, float(step), trials, delay_frames=delay_frames)[-1]) for step in STEPS)


@pytest.mark.parametrize(("plant", "task"), [("first-order", "track"), ("underdamped", "reject"), ("inertia", "track")])
def test_motor_plants_lose_95_percent_of_feedbacks_error(plant, task):
    found = motor_task(plant, task)
    assert best(found, "model", 200) <= 0.05 * rms(found.without)


def test_a_resonant_plant_needs_a_trace_and_a_tuned_delay_serves_as_well():
    found = motor_task("underdamped", "reject")
    model = best(found, "model", 200)
    assert best(found, "none", 200) >= 10 * model
    assert best(found, "delay", 200, 10) <= model
