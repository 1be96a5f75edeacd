"""Gradients of the classifier's log-odds: integrated along a path, and at the scan itself (captum).

The encoder sees projections of the voxels, so the gradient at the voxels is that at the projections, carried back.
A token counts as one with signal all along the path: else its features would jump at the path's first step.

References:
    Sundararajan et al. 2017 (integrated gradients), arXiv:1703.01365; Shrikumar et al. 2017 (gradient times input),
    arXiv:1605.01713.

Axes: n windows of a scan, t volumes, V brain voxels, N = T * K tokens, P voxels of a chunk, M coefficients, p volumes
of a patch, H linear layers.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from fmrifm.model.heads import ScanClassifier, with_signal
from fmrifm.model.tokens import Tokenizer

COMPLETE = 0.02
"""Share of the difference in log-odds that attributions may miss before the path is walked in finer steps."""
_STEPS, _MOST_STEPS = 16, 256
_AT_ONCE = 8
"""Points of the path in one forward pass."""


class Gradients(NamedTuple):
    """What each voxel gives to the log-odds of one scan, summed over its volumes, for each linear layer."""

    integrated: Tensor
    """Shape (H, V); over all voxels they add up to the log-odds' difference between scan and baseline."""
    times_input: Tensor
    """Shape (H, V)."""
    error: Tensor
    """Share of that difference that the integrated gradients miss, shape (H,)."""


def voxel_gradients(
    classifier: ScanClassifier,
    signal: Tensor,
    tr_s: Tensor,
    heads: Sequence[nn.Linear] = (),
    baseline: Tensor | None = None,
    *,
    fine: bool = True,
) -> Gradients:
    """Attribute a scan's log-odds to its voxels.

    Args:
        classifier: The fitted network.
        signal: All windows of one scan, shape (1, n, t, V).
        tr_s: Its repetition time, shape (1,).
        heads: Further linear layers to explain on the same encoder, beside the classifier's own.
        baseline: Where the path starts, of the signal's shape; by default each voxel's temporal mean, 0.
        fine: Take finer steps until the own layer's attributions are complete.
    """
    classifier.eval()
    tokenizer = classifier.autoencoder.tokenizer
    start = torch.zeros_like(signal) if baseline is None else baseline
    scan_CnNMp, start_CnNMp = classifier.coefficients(signal), classifier.coefficients(start)
    has_signal = with_signal(scan_CnNMp)

    def scores(coefficients: Tensor) -> Tensor:
        copies = len(coefficients)
        tokens = classifier.tokens(coefficients, tr_s.expand(copies), has_signal.expand(copies, -1, -1))
        pooled = classifier.pooling(tokens)
        return torch.stack([classifier.score(pooled, head) for head in (None, *heads)], dim=1)

    most = _MOST_STEPS if fine else _STEPS
    found = [
        _of_head(scores, scan_CnNMp, start_CnNMp, head, most if head == 0 else _STEPS) for head in range(1 + len(heads))
    ]
    integrated, local, error = (torch.stack(parts) for parts in zip(*found, strict=True))
    moved, held = tokenizer.split((signal - start).flatten(0, 1)), tokenizer.split(signal.flatten(0, 1))
    return Gradients(_at_voxels(tokenizer, integrated, moved), _at_voxels(tokenizer, local, held), error)


def _of_head(
    scores: Callable[[Tensor], Tensor], scan: Tensor, start: Tensor, head: int, most: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean gradient along the path and gradient at its end, at the coefficients; share of the difference missed."""
    method, steps = IntegratedGradients(scores, multiply_by_inputs=False), _STEPS
    with torch.no_grad():
        difference = scores(scan)[0, head] - scores(start)[0, head]
    while True:
        mean = method.attribute(scan, start, target=head, n_steps=steps, internal_batch_size=_AT_ONCE)[0]
        error = ((mean * (scan - start)[0]).sum() - difference).abs() / difference.abs().clamp(min=1e-6)
        if error <= COMPLETE or steps >= most:
            break
        steps *= 2
    end = scan.clone().requires_grad_()
    (local,) = torch.autograd.grad(scores(end)[0, head], end)
    return mean, local[0], error


def _at_voxels(tokenizer: Tokenizer, slopes_HnNMp: Tensor, tokens_nNPp: Tensor) -> Tensor:
    """Gradients at coefficients, carried back to voxels and times their change: shape (H, V)."""
    weight_KPM = tokenizer.basis / tokenizer.valid.sum(dim=1)[:, None, None]
    slopes = slopes_HnNMp.unflatten(2, (tokenizer.patches, -1))
    values = tokens_nNPp.unflatten(1, (tokenizer.patches, -1))
    given_HKP = torch.einsum("hnkcmp,cqm,nkcqp->hcq", slopes, weight_KPM, values)
    voxels = given_HKP.new_zeros(len(given_HKP), tokenizer.voxels)
    voxels[:, tokenizer.voxel[tokenizer.valid]] = given_HKP[:, tokenizer.valid]
    return voxels
