"""The haemodynamic response, and traces: causal convolution of a time course with a kernel.

One module for both halves of counterfactual control: the neurofeedback plant and the streaming readout.

Axes: N time courses, L frames, K frames of a kernel.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import lfilter
from scipy.stats import gamma


def hrf(
    tr_s: float, peak_s: float = 6.0, under_s: float = 16.0, ratio: float = 1 / 6, length_s: float = 32.0
) -> NDArray[np.float64]:
    """Double-gamma haemodynamic response, sampled every repetition time, shape (K,); it sums to 1.

    With these defaults it is SPM's canonical response (Friston et al. 1998, doi:10.1006/nimg.1997.0306): gamma
    densities of shape 6 and 16 and scale 1 s.

    Args:
        tr_s: Repetition time in seconds.
        peak_s: Shape of the response; its peak lies a second before.
        under_s: Shape of the undershoot.
        ratio: Size of the undershoot against the response.
        length_s: Where it is cut off.
    """
    times = np.arange(0, length_s, tr_s)
    response = gamma.pdf(times, peak_s) - ratio * gamma.pdf(times, under_s)
    return np.asarray(response / response.sum())


def eligibility(basis: ArrayLike, kernel: ArrayLike) -> NDArray[np.float64]:
    """Convolve each time course (..., L) with a kernel (K,), causally: what a frame leaves behind, shape (..., L)."""
    return np.asarray(
        lfilter(np.asarray(kernel, dtype=np.float64), [1.0], np.asarray(basis, dtype=np.float64), axis=-1)
    )
