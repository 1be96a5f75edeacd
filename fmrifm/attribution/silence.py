"""Silencing regions: what the encoder sees of a scan when some regions stand still at their temporal mean.

A scan is cut into tokens once; what it says is a sum over regions, of which any can be left out.

Axes: c copies of a scan, n windows, t volumes, V brain voxels, N = T * K tokens (time-major), P voxels of a chunk,
M coefficients, p volumes of a patch, R regions, S regions that a chunk can hold.
"""

from dataclasses import replace

import torch
from torch import Tensor

from fmrifm.model.tokens import Tokenizer


class SilencedScan:
    """The coefficients of one scan as a sum over the regions of each chunk.

    Args:
        tokenizer: How windows are cut.
        signal: All windows of the scan, shape (1, n, t, V).
    """

    def __init__(self, tokenizer: Tokenizer, signal: Tensor) -> None:
        region_KS = replace(tokenizer.pool, rule="any").hidden_with
        tokens = tokenizer.split(signal.flatten(0, 1))
        within_SKP = (tokenizer.region_of_place == region_KS.T[:, :, None]) & tokenizer.valid
        parts = [tokenizer.project(tokens * within.repeat(tokenizer.patches, 1)[..., None]) for within in within_SKP]
        self._parts = torch.stack(parts)
        self._region_SN = region_KS.T.repeat(1, tokenizer.patches)

    def coefficients(self, heard: Tensor) -> Tensor:
        """What the encoder sees of copies of the scan.

        Args:
            heard: 1 where a copy keeps a region, 0 where the region is silenced, shape (c, R).

        Returns:
            Shape (c, n, N, M, p).
        """
        gate_cR = torch.cat([heard, heard.new_zeros(len(heard), 1)], dim=1)  # where a chunk holds fewer regions
        gate_ScN = gate_cR[:, self._region_SN].transpose(0, 1)
        copies = gate_ScN[:, :, None, :, None, None] * self._parts[:, None]
        return copies[0] if len(copies) == 1 else copies.sum(dim=0)
