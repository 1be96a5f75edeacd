"""How z-scored signal is kept in fewer bytes: float16, or int8 with one scale per voxel.

Axes: T volumes, V brain voxels.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fmrifm.config import Encoding

if TYPE_CHECKING:
    from torch import Tensor

_LEVELS = 127


def encode(signal_TV: NDArray[np.floating], encoding: Encoding) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Reduce a signal.

    Returns:
        The stored array, (T, V), and for int8 the scale of each voxel, (V,): signal = stored * scale, at most
        half a scale (1 / 254 of the voxel's largest deflection) off.
    """
    if encoding == "float16":
        return np.asarray(signal_TV, np.float16), None
    scale = np.abs(signal_TV).max(axis=0).astype(np.float32) / _LEVELS
    scale[scale == 0] = 1.0
    return np.rint(signal_TV / scale).astype(np.int8), scale


def decode(stored_TV: NDArray[Any], scale_V: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Undo `encode`, up to its rounding, shape (T, V)."""
    import torch  # not above: a process that only writes starts in half the time and memory without it

    scale = None if scale_V is None else torch.from_numpy(scale_V)
    return np.asarray(decode_tensor(torch.from_numpy(stored_TV), scale).numpy())


def decode_tensor(stored: "Tensor", scale: "Tensor | None") -> "Tensor":
    """As `decode`, on the device of the tensors: stored (..., T, V) with a scale of (V,) or (..., 1, V)."""
    signal = stored.float()  # a tenth of the time that numpy takes from float16
    return signal if scale is None else signal.mul_(scale)


def rounded(signal_TV: NDArray[np.float32], encoding: Encoding) -> "Tensor":
    """What a store would give back of a signal, shape (T, V): the same bits as encoded and decoded."""
    import torch

    if encoding == "float16":
        return torch.from_numpy(signal_TV).half().float()  # 4 ms where NumPy and back takes 40
    return torch.from_numpy(decode(*encode(signal_TV, encoding)))
