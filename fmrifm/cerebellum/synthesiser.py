"""The synthesiser: a feed-forward cerebellum that predicts which feedback a recurrent cortex will get.

Mossy fibres carry the cortex's state, granule cells are hidden units, Purkinje cells read out the gradient that is to
be expected at that state (Pemberton et al. 2021, arXiv:2110.11501; Boven et al. 2023, Nat. Commun. 14:51).

Axes: B scans, D numbers of the state, C numbers of the context, G granule cells.
"""

import torch
from torch import Tensor, nn

from fmrifm.cerebellum.expansion import sparse_mask


class Synthesiser(nn.Module):
    """Predicts the gradient of what is lost later, by the state; 0 before it has learnt.

    Args:
        state_dim: D.
        ctx_dim: C, numbers that it is told besides, such as the label that is known in training.
        granule: G, units of each hidden layer.
        layers: Hidden layers.
        fan_in: Mossy fibres that a granule cell hears; all by default.
        generator: Draws which.
        out_dim: Numbers that it puts out; D by default.
    """

    heard: Tensor | None

    def __init__(
        self,
        state_dim: int,
        ctx_dim: int = 0,
        granule: int = 256,
        layers: int = 1,
        fan_in: int | None = None,
        generator: torch.Generator | None = None,
        out_dim: int | None = None,
    ) -> None:
        super().__init__()
        inputs = state_dim + ctx_dim
        self.mossy = nn.Linear(inputs, granule)
        self.hidden = nn.ModuleList([nn.Linear(granule, granule) for _ in range(layers - 1)])
        self.purkinje = nn.Linear(granule, state_dim if out_dim is None else out_dim)
        nn.init.zeros_(self.purkinje.weight)  # learning starts as truncated back-propagation
        nn.init.zeros_(self.purkinje.bias)
        draw = generator or torch.Generator().manual_seed(0)
        self.register_buffer("heard", None if fan_in is None else sparse_mask(granule, inputs, fan_in, draw))

    @property
    def mossy_weight(self) -> Tensor:
        """Weights of the mossy fibres, shape (G, D + C): 0 where a cell does not hear one, whatever was learnt."""
        return self.mossy.weight if self.heard is None else self.mossy.weight * self.heard

    def forward(self, state: Tensor, context: Tensor | None = None) -> Tensor:
        """States (B, D), and contexts (B, C), to the gradients that are expected there, (B, D)."""
        inputs = state if context is None else torch.cat([state, context], dim=1)
        cells = torch.relu(nn.functional.linear(inputs, self.mossy_weight, self.mossy.bias))
        for layer in self.hidden:
            cells = torch.relu(layer(cells))
        return self.purkinje(cells)
