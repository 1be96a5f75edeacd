"""Occlusion: silence one region of a scan, see how far the classifier's log-odds fall (captum).

Zeiler and Fergus 2014, arXiv:1311.2901. A silenced voxel holds its temporal mean, 0 after the z-score.

Axes: c copies of a scan, n windows of a scan, t volumes, V brain voxels, R regions on the grid, H linear layers.
"""

from collections.abc import Sequence

import numpy as np
import torch
from captum.attr import FeatureAblation
from numpy.typing import NDArray
from torch import Tensor, nn

from fmrifm.attribution.silence import SilencedScan
from fmrifm.model.heads import ScanClassifier

_AT_ONCE = 8
"""Regions silenced in one forward pass, each in its own copy of the scan."""


@torch.no_grad()
def region_occlusion(
    classifier: ScanClassifier, signal: Tensor, tr_s: Tensor, heads: Sequence[nn.Linear] = ()
) -> NDArray[np.float64]:
    """Log-odds with a region minus without it, for every region.

    Args:
        classifier: The fitted network.
        signal: All windows of one scan, shape (1, n, t, V).
        tr_s: Its repetition time, shape (1,).
        heads: Further linear layers to explain on the same encoder, beside the classifier's own.

    Returns:
        Shape (1 + heads, R): positive where the region speaks for label 1 in this scan; the own layer first.
    """
    classifier.eval()
    tokenizer = classifier.autoencoder.tokenizer
    scan = SilencedScan(tokenizer, signal)

    def scores(heard: Tensor) -> Tensor:
        pooled = classifier.pool(scan.coefficients(heard), tr_s.expand(len(heard)))
        return torch.stack([classifier.score(pooled, head) for head in (None, *heads)], dim=1)

    heard = torch.ones(1, tokenizer.regions, device=signal.device)
    found = FeatureAblation(scores).attribute(heard, perturbations_per_eval=_AT_ONCE, baselines=0)
    return found.reshape(1 + len(heads), -1).double().cpu().numpy()
