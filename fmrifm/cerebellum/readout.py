"""A streaming readout of BOLD whose eligibility trace is the haemodynamic response.

The model says the neural drive n_t = w . phi(x_t), and BOLD is the drive convolved with the response. The gradient of
half the squared error is then the error times features that were filtered by the response: events of five seconds ago
get their credit, and no graph is kept. Its optimum for event regressors is the ordinary general linear model.

Axes: F features, P parcels, K frames of the response.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class HaemodynamicReadout:
    """Learns to predict parcels from features, frame by frame (normalised least mean squares).

    Args:
        features: F.
        parcels: P.
        response: Haemodynamic response by frame, shape (K,); `[1.0]` leaves it out.
        rate: Step; below 2 it converges.
    """

    def __init__(self, features: int, parcels: int, response: ArrayLike, rate: float = 0.1) -> None:
        self.response = np.asarray(response, dtype=np.float64)
        self.weight = np.zeros((parcels, features))
        self.rate = rate
        self._recent = np.zeros((len(self.response), features))

    @property
    def trace(self) -> Array:
        """Features as BOLD sees them now, shape (F,)."""
        return np.asarray(self.response @ self._recent)

    def step(self, phi: ArrayLike, bold: ArrayLike) -> Array:
        """Take the features (F,) and the BOLD (P,) of the next frame, learn, and return the error (P,) of before."""
        self._recent = np.roll(self._recent, 1, axis=0)
        self._recent[0] = phi
        trace = self.trace
        error = np.asarray(bold) - self.weight @ trace
        self.weight += self.rate * np.outer(error, trace) / (1e-9 + trace @ trace)
        return np.asarray(error)
