"""Occlusion: silence one region of a scan, see how far the classifier's log-odds fall (captum).

Zeiler and Fergus 2014, arXiv:1311.2901. A silenced voxel holds its temporal mean, 0 after the z-score.

Axes: n windows of a scan, t volumes, V brain voxels, N tokens, P voxels of a chunk, R regions on the grid.
"""

import numpy as np
import torch
from captum.attr import FeatureAblation
from numpy.typing import NDArray
from torch import Tensor

from fmrifm.model.heads import ScanClassifier

_AT_ONCE = 8
"""Regions silenced in one forward pass, each in its own copy of the scan."""


@torch.no_grad()
def region_occlusion(classifier: ScanClassifier, signal: Tensor, tr_s: Tensor) -> NDArray[np.float64]:
    """Log-odds with a region minus without it, for every region.

    Args:
        classifier: The fitted network.
        signal: All windows of one scan, shape (1, n, t, V).
        tr_s: Its repetition time, shape (1,).

    Returns:
        Shape (R,): positive where the region speaks for label 1 in this scan.
    """
    classifier.eval()
    tokenizer = classifier.autoencoder.tokenizer
    # Cut into tokens once; each voxel keeps its own region, also where a token holds several.
    tokens = tokenizer.split(signal.flatten(0, 1)).unflatten(0, signal.shape[:2])
    region_NP = tokenizer.region_of_place.clamp(max=tokenizer.regions - 1).repeat(tokenizer.patches, 1)

    def score(copies: Tensor) -> Tensor:
        coefficients = tokenizer.project(copies.flatten(0, 1)).unflatten(0, copies.shape[:2])
        return classifier.score(classifier.pool(coefficients, tr_s.expand(len(copies))))

    voxel_scores = FeatureAblation(score).attribute(
        tokens, feature_mask=region_NP[None, None, :, :, None], perturbations_per_eval=_AT_ONCE, baselines=0
    )
    # captum gives every voxel the score of its region; one of each region is enough.
    scores = tokens.new_zeros(tokenizer.regions)
    scores[region_NP] = voxel_scores[0, 0, :, :, 0]
    return scores.double().cpu().numpy()
