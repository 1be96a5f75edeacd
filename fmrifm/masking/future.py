"""Hide the end of the window, so that it is predicted from what came before."""

import torch
from torch import Generator, Tensor

from fmrifm.masking.tube import TubeMasker


class FutureMasker(TubeMasker):
    """Hide the last time patches whole, and of the one before them as many chunks as the budget leaves.

    What is hidden of a chunk is always the end of its window. With one time patch it is the same as `tube`.
    """

    def forward(self, batch: int, generator: Generator) -> Tensor:
        """Return a mask of shape (B, N), True = hidden."""
        whole = int(self.ratio * self.patches)
        part_BK = self.hidden_chunks(batch, self.ratio * self.patches - whole, generator)
        to_end_T1 = torch.arange(self.patches, 0, -1, device=part_BK.device)[:, None]  # 1 at the last patch
        hidden_BTK = (to_end_T1 <= whole) | ((to_end_T1 == whole + 1) & part_BK[:, None])
        return hidden_BTK.flatten(1)
