"""Functions of symmetric positive definite matrices, through their eigenvalues.

Axes: S matrices, R rows.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

_CLOSE = 1e-2
"""Below this the slope between two eigenvalues is a series; its next term is under 1e-8."""


def log_matrix(matrices: Tensor) -> Tensor:
    """Matrix logarithm, shape (S, R, R), with gradients that stay finite where eigenvalues coincide."""
    return cast("Tensor", _Log.apply((matrices + matrices.mT) / 2))


@torch.no_grad()
def exp_matrix(matrices: Tensor) -> Tensor:
    """Matrix exponential of symmetric matrices (..., R, R)."""
    return _map_eigenvalues(torch.exp, *torch.linalg.eigh(matrices))


@torch.no_grad()
def inverse_root(matrices: Tensor) -> Tensor:
    """Symmetric inverse square root, shape (..., R, R)."""
    return _map_eigenvalues(torch.rsqrt, *torch.linalg.eigh(matrices))


def _map_eigenvalues(function: Callable[[Tensor], Tensor], values: Tensor, vectors: Tensor) -> Tensor:
    return (vectors * function(values)[..., None, :]) @ vectors.mT


class _Log(torch.autograd.Function):
    """Matrix logarithm whose gradient is that of Daleckii and Krein.

    PyTorch differentiates eigenvectors, which divides by the difference of eigenvalues. The logarithm as a
    whole needs only (log a - log b) / (a - b), which tends to 1 / a.
    """

    @staticmethod
    def forward(ctx: Any, matrices: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(matrices)
        ctx.save_for_backward(values, vectors)
        return _map_eigenvalues(torch.log, values, vectors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        values, vectors = ctx.saved_tensors
        a, b = values[..., :, None], values[..., None, :]
        x = (a - b) / (a + b)  # log a - log b = 2 artanh x
        slope = torch.where(x.abs() < _CLOSE, 1 + x.square() / 3, torch.atanh(x) / x) * 2 / (a + b)
        inner = vectors.mT @ (gradients[0] + gradients[0].mT) @ vectors / 2
        return vectors @ (slope * inner) @ vectors.mT
