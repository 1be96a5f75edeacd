"""A head: from region-by-region correlations of a scan to its features."""

import torch
from torch import Tensor

from fmrifm.model.connectivity import CONNECTIVITY, ConnectivityPooling
from fmrifm.model.tokens import Tokenizer


class SystemPooling(ConnectivityPooling):
    """Mean Fisher-z correlation between every two systems, and within each."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)
        member = torch.nn.functional.one_hot(tokenizer.system).float()  # (R, systems)
        self.register_buffer("member", member, persistent=False)
        self.size = member.shape[1] * (member.shape[1] + 1) // 2

    def vectorise(self, summaries: Tensor) -> Tensor:
        """Correlations (S, R, R) to systems by systems, each pair once, shape (S, D)."""
        other = 1 - torch.eye(summaries.shape[1])
        z = torch.atanh(summaries.clamp(-0.999, 0.999)) * other
        sums, pairs = (self.member.T @ values @ self.member for values in (z, other))
        row, column = torch.triu_indices(*sums.shape[1:])
        return (sums / pairs.clamp(min=1))[:, row, column]


CONNECTIVITY["systems"] = SystemPooling  # ScanClassifier(model, "connectivity", "systems")
