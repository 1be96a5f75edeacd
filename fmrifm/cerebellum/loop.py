"""Closed loops: a linear plant under feedback that arrives late, with room for an anticipating signal.

    u(t) = K[e(t - delay) + a(t)] + m(t) + d(t),   e = r - y - noise

`a` is injected into the sensory error, as counterfactual predictive control does (Maffei et al. 2017,
arXiv:1701.07775); `m` after the controller, as feedback-error learning does.

Axes: L frames, n states of the plant.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import cont2discrete, tf2ss

Array = NDArray[np.float64]
Domain = Literal["sensory", "motor"]


@dataclass(frozen=True)
class Pid:
    """Gains of a controller on an error: proportional, on its integral, on its derivative (per s, s)."""

    kp: float
    ki: float = 0.0
    kd: float = 0.0


class Course(NamedTuple):
    """What a loop did, each of shape (L,)."""

    y: Array
    """Output of the plant."""
    e: Array
    """Error as measured."""
    u: Array
    """Input of the plant, disturbance included."""


@dataclass(frozen=True, eq=False)
class ClosedLoop:
    """A plant z' = A z + B u, y = C z in discrete time, under a controller."""

    a: Array
    """Shape (n, n)."""
    b: Array
    """Shape (n,)."""
    c: Array
    """Shape (n,)."""
    controller: Pid
    delay_frames: int
    """Frames after which the error reaches the controller."""
    dt_s: float

    def rollout(
        self, r: ArrayLike, a: ArrayLike = 0.0, d: ArrayLike = 0.0, noise: ArrayLike = 0.0, m: ArrayLike = 0.0
    ) -> Course:
        """Run the loop from rest.

        Args:
            r: What the output should be, shape (L,).
            a: Anticipation in the sensory domain.
            d: Disturbance of the plant's input.
            noise: Of the measured output.
            m: Anticipation in the motor domain. These four have shape (L,), or are one number.
        """
        r = np.asarray(r, dtype=np.float64)
        signals = [np.broadcast_to(np.asarray(values, dtype=np.float64), r.shape) for values in (a, d, noise, m)]
        a_L, d_L, noise_L, m_L = signals
        y, e, u = np.zeros_like(r), np.zeros_like(r), np.zeros_like(r)
        state, integral, before = np.zeros(len(self.b)), 0.0, 0.0
        for t in range(len(r)):
            y[t] = self.c @ state
            e[t] = r[t] - y[t] - noise_L[t]
            late = e[t - self.delay_frames] if t >= self.delay_frames else 0.0
            heard = late + a_L[t]
            integral += heard * self.dt_s
            gains = self.controller
            u[t] = gains.kp * heard + gains.ki * integral + gains.kd * (heard - before) / self.dt_s + m_L[t] + d_L[t]
            state, before = self.a @ state + self.b * u[t], heard
        return Course(y, e, u)

    def impulse(self, frames: int, domain: Domain = "sensory") -> Array:
        """What one unit of anticipation does to the output: the closed loop's own response, shape (frames,)."""
        one, still = np.eye(1, frames)[0], np.zeros(frames)
        return self.rollout(still, a=one).y if domain == "sensory" else self.rollout(still, m=one).y


def plant_loop(
    numerator: list[float], denominator: list[float], controller: Pid, delay_s: float, dt_s: float
) -> ClosedLoop:
    """A loop around a plant that is given by its transfer function in s, sampled with a zero-order hold."""
    a, b, c, _, _ = cont2discrete(tf2ss(numerator, denominator), dt_s)
    return ClosedLoop(a, b[:, 0], c[0], controller, round(delay_s / dt_s), dt_s)


def response_loop(response: Array, controller: Pid, delay_frames: int, dt_s: float) -> ClosedLoop:
    """A loop around a plant that is given by its impulse response, shape (K,), which must start at 0."""
    if abs(response[0]) > 1e-12:
        raise ValueError("a plant that answers within the same frame")
    states = len(response) - 1
    return ClosedLoop(np.eye(states, k=-1), np.eye(1, states)[0], response[1:], controller, delay_frames, dt_s)
