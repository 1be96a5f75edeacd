"""Attention rollout: how much of each token reaches the features of all, through every block of the encoder.

It knows nothing of the label, and nothing of what the attention carries: read it beside the other methods.

References:
    Abnar and Zuidema 2020, arXiv:2005.00928.

Axes: n windows of a scan, t volumes, V brain voxels, N = T * K tokens, W width, R regions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fmrifm.model.attention import PlacedAttention
from fmrifm.model.heads import ScanClassifier


@torch.no_grad()
def region_rollout(classifier: ScanClassifier, signal: Tensor, tr_s: Tensor) -> NDArray[np.float64]:
    """Share of attention that each region receives, shape (R,); the shares of all regions add up to 1.

    Args:
        classifier: Whose encoder is looked at.
        signal: All windows of one scan, shape (1, n, t, V).
        tr_s: Its repetition time, shape (1,).
    """
    classifier.eval()
    tokenizer = classifier.autoencoder.tokenizer
    with _attention(classifier.autoencoder.encoder) as layers:
        classifier.tokens(classifier.coefficients(signal), tr_s)
    windows, tokens = layers[0].shape[:2]
    flow_nN = layers[0].new_full((windows, 1, tokens), 1 / tokens)
    for weights in reversed(layers):  # from the features down: a row vector, never the product of whole matrices
        flow_nN = 0.5 * (flow_nN @ weights + flow_nN)
    chunk_K = flow_nN.mean(dim=(0, 1)).unflatten(0, (tokenizer.patches, -1)).sum(dim=0)
    share_RK = tokenizer.counts / tokenizer.counts.sum(dim=0)
    return (share_RK.to(chunk_K) @ chunk_K).double().cpu().numpy()


@contextmanager
def _attention(encoder: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the attention of every block, mean over heads, shape (n, N, N), while the encoder runs."""
    found: list[Tensor] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...], options: dict[str, Any], _: Tensor) -> None:
        assert isinstance(module, PlacedAttention)  # noqa: S101 (for the type checker: no other is hooked)
        found.append(module.weights(inputs[0], options["attn_mask"]).mean(dim=1))

    hooks = [
        part.register_forward_hook(look, with_kwargs=True)
        for part in encoder.modules()
        if isinstance(part, PlacedAttention)
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
