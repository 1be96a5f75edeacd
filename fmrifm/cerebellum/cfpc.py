"""Counterfactual predictive control: learn to anticipate through a forward model of the loop at the synapse.

The cerebellum's output is a(t) = w . p(t), of N bases that are locked to a cue. A unit of it changes the error by the
closed loop's response, so that the gradient of half the squared error is the error times an eligibility trace: the
basis convolved with that response (Maffei et al. 2017, arXiv:1701.07775; the follow-up 1707.01484 names the rule
Widrow-Hoff with a forward model inserted; engineering knows it as filtered-x LMS).

Axes: N bases, L frames of a trial, K frames of a kernel.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fmrifm.cerebellum.hrf import eligibility

Array = NDArray[np.float64]
Trace = Literal["model", "none", "delay"]


def gaussian_bases(centres_s: NDArray[np.floating], sigma_s: float, frames: int, dt_s: float) -> Array:
    """Bumps in time after a cue, shape (N, L), each 1 at its centre."""
    return np.asarray(np.exp(-0.5 * ((np.arange(frames) * dt_s - centres_s[:, None]) / sigma_s) ** 2))


def traces(
    bases: Array, trace: Trace, kernel: Array | None = None, delay_frames: int = 0, late_frames: int = 0
) -> Array:
    """Eligibility of each basis at each frame, shape (N, L).

    Args:
        bases: Shape (N, L).
        trace: `model` convolves with a kernel, `delay` shifts by some frames, `none` takes the basis itself.
        kernel: Response of the closed loop to a unit of anticipation, shape (K,).
        delay_frames: Of `delay`.
        late_frames: Frames by which the error reaches the synapse late: the trace waits for it.
    """
    if trace == "model":
        if kernel is None:
            raise ValueError("a model trace needs a kernel")
        found = eligibility(bases, kernel)
    else:
        found = shifted(bases, delay_frames if trace == "delay" else 0)
    return shifted(found, late_frames)


def shifted(values: Array, frames: int) -> Array:
    """Move courses (..., L) so many frames later; zeros come first."""
    if frames == 0:
        return values
    moved = np.zeros_like(values)
    moved[..., frames:] = values[..., :-frames]
    return moved


class CFPC:
    """Weights that anticipate, learnt from the errors of trials.

    Args:
        bases: Shape (N, L).
        trace: Eligibility of each basis, shape (N, L).
        beta: Step as a share of the trace's largest squared singular value; for the exact gradient 2 is the limit.
    """

    def __init__(self, bases: Array, trace: Array, beta: float) -> None:
        self.bases = bases
        self.trace = trace
        self.rate = beta / float(np.linalg.norm(trace, 2)) ** 2
        self.weight = np.zeros(len(bases))

    @property
    def output(self) -> Array:
        """Anticipation of the next trial, shape (L,)."""
        return np.asarray(self.weight @ self.bases)

    def trial(self, error: Array) -> None:
        """Learn from the errors of a whole trial, shape (L,)."""
        self.weight += self.rate * self.trace @ error

    def step(self, error: float, frame: int) -> None:
        """Learn from the error of one frame; over a trial as `trial`."""
        self.weight += self.rate * self.trace[:, frame] * error


def least_error(bases: Array, kernel: Array, error: Array) -> Array:
    """What is left of an error (L,) where the bases' best weights are known: the floor of all such rules."""
    through = eligibility(bases, kernel)
    weight, *_ = np.linalg.lstsq(through.T, error, rcond=1e-8)
    return np.asarray(error - weight @ through)


def rms(values: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.square(values).mean()))
