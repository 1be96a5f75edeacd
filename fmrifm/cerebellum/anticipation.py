"""Anticipation on motor plants and in a simulated neurofeedback loop, by rules that differ in their trace.

The plants, gains and bases are ours: the paper's were not at hand. The neurofeedback loop is a simulation of a plant,
the haemodynamic response, not of a person. A pure delay that is tuned to the plant is as good as the model's trace;
what the model spares is the tuning.

Axes: N bases, L frames, trials.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from fmrifm.cerebellum.cfpc import CFPC, Trace, gaussian_bases, least_error, rms, traces
from fmrifm.cerebellum.hrf import eligibility, hrf
from fmrifm.cerebellum.loop import ClosedLoop, Pid, plant_loop, response_loop

Array = NDArray[np.float64]
DT_S, TRIAL_S, DELAY_S = 0.005, 3.0, 0.1
PLANTS: dict[str, tuple[list[float], list[float], Pid]] = {
    "first-order": ([1.0], [0.2, 1.0], Pid(1.0, 2.0)),
    "underdamped": ([144.0], [1.0, 2 * 0.2 * 12, 144.0], Pid(0.3, 2.0, 0.05)),
    "inertia": ([20.0], [1.0, 1.0, 0.0], Pid(0.6, 0.0, 0.15)),
}
"""Transfer functions in s and gains."""
STEPS = np.geomspace(0.05, 2.2, 10)
"""Steps among which each rule has its best."""


@dataclass(frozen=True, eq=False)
class Task:
    """A loop, what its output should be, what disturbs it, and bases in which to anticipate."""

    loop: ClosedLoop
    target: Array
    disturbance: Array
    bases: Array

    @cached_property
    def without(self) -> Array:
        """Error under feedback alone, shape (L,)."""
        return self.loop.rollout(self.target, d=self.disturbance).e

    @cached_property
    def kernel(self) -> Array:
        """Response of the closed loop to anticipation, shape (L,)."""
        return self.loop.impulse(len(self.target))


def motor_task(plant: str, task: str) -> Task:
    """Follow a pulse (`track`) or hold against one (`reject`), three seconds a trial."""
    frames = round(TRIAL_S / DT_S)
    time_s = np.arange(frames) * DT_S
    pulse = np.exp(-0.5 * ((time_s - 1.0) / 0.15) ** 2)
    push = np.where((time_s >= 0.8) & (time_s < 1.1), -1.0, 0.0)
    bases = gaussian_bases(np.arange(46) * 0.06 + 0.1, 0.045, frames, DT_S)
    tracks = task == "track"
    numerator, denominator, gains = PLANTS[plant]
    loop = plant_loop(numerator, denominator, gains, DELAY_S, DT_S)
    return Task(loop, pulse if tracks else 0 * pulse, 0 * push if tracks else push, bases)


def neurofeedback_task(kp: float = 0.35, ki: float = 0.03, peak_s: float = 6.0) -> Task:
    """Drive a region's BOLD for 20 s of a minute, seen through the haemodynamic response and a TR (1 s) late."""
    frames, tr_s = 60, 1.0
    response = hrf(tr_s, peak_s)
    wanted = eligibility(np.where((np.arange(frames) >= 10) & (np.arange(frames) < 30), 1.0, 0.0), hrf(tr_s))
    bases = gaussian_bases(np.arange(22) * 2.0, 1.7, frames, tr_s)
    return Task(response_loop(response, Pid(kp, ki), 1, tr_s), wanted, np.zeros(frames), bases)


def learning(
    task: Task,
    trace: Trace,
    beta: float,
    trials: int,
    *,
    kernel: Array | None = None,
    delay_frames: int = 0,
    noise: Array | None = None,
) -> Array:
    """Errors of trials, shape (trials, L); the loop is linear, so that a trial is feedback's less what is anticipated.

    Args:
        task: What is learnt.
        trace: Which eligibility.
        beta: Step.
        trials: How many.
        kernel: The rule's model of the loop; by default the loop's own response.
        delay_frames: Of a `delay` trace.
        noise: Of the measured output, shape (trials, L).
    """
    own, without = task.kernel, task.without
    rule = CFPC(task.bases, traces(task.bases, trace, own if kernel is None else kernel, delay_frames), beta)
    errors = np.empty((trials, len(without)))
    for trial in range(trials):
        noisy = 0.0 if noise is None else task.loop.rollout(0 * task.target, noise=noise[trial]).e
        errors[trial] = without - eligibility(rule.output, own) + noisy
        rule.trial(errors[trial])
    return errors


def floor(task: Task) -> float:
    """Error that the bases cannot do away with."""
    return rms(least_error(task.bases, task.kernel, task.without))


def scanner_noise(trials: int, frames: int, sd: float, rng: np.random.Generator, rho: float = 0.5) -> Array:
    """Autoregressive noise of the first order, shape (trials, L)."""
    drawn = rng.normal(0, sd * np.sqrt(1 - rho**2), (trials, frames + 20))
    return np.asarray(lfilter([1.0], [1.0, -rho], drawn, axis=1)[:, 20:])
