"""The encoder: embeds visible tokens and lets them attend to each other.

Axes: B windows, N visible tokens, M coefficients, p volumes of a patch, W width.
"""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fmrifm.model.attention import DistanceBias, placed_block
from fmrifm.model.chunks import DEGREE_TERMS

WAVELENGTHS_MM = (25.0, 50.0, 100.0, 200.0, 400.0)


class PlaceEmbedding(nn.Module):
    """Embeds where a token is: sines and cosines of its millimetres, then a linear map.

    Time is left to the attention bias, so that a checkpoint works at any repetition time.
    """

    frequency: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequency", 2 * torch.pi / torch.tensor(WAVELENGTHS_MM), persistent=False)
        self.linear = nn.Linear(2 * 3 * len(WAVELENGTHS_MM), width)

    def forward(self, places: Tensor) -> Tensor:
        """Places in mm and s, shape (B, N, 4), to (B, N, W)."""
        phase = (places[..., :3, None] * self.frequency).flatten(-2)
        return self.linear(torch.cat([phase.sin(), phase.cos()], dim=-1))


class Encoder(nn.Module):
    """Embeds token coefficients and applies transformer blocks with distance-biased attention.

    Args:
        patch: Volumes in a token.
        width: Channels of a token.
        layers: Transformer blocks.
        heads: Attention heads.
        checkpointing: Compute each block again for the gradient instead of keeping what it computed.
    """

    def __init__(self, *, patch: int, width: int, layers: int, heads: int, checkpointing: bool = False) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.embed = coefficient_embedding(patch, width)
        self.place = PlaceEmbedding(width)
        for parameter in self.place.parameters():
            nn.init.zeros_(parameter)  # at the start a token is its signal, nothing else
        self.bias = DistanceBias(heads)
        self.blocks = nn.ModuleList([placed_block(width, heads) for _ in range(layers)])

    def forward(self, coefficients: Tensor, places: Tensor) -> Tensor:
        """Encode tokens: coefficients (B, N, M, p) at places (B, N, 4) to features (B, N, W)."""
        x = self.embed(coefficients.flatten(-2)) + self.place(places)
        bias = self.bias(places, places)
        for block in self.blocks:
            if self.checkpointing:
                x = checkpoint(block, x, attn_mask=bias, use_reentrant=False)
            else:
                x = block(x, attn_mask=bias)
        return x


@torch.no_grad()
def coefficient_embedding(patch: int, width: int) -> nn.Linear:
    """Map a token's coefficients to its channels.

    It starts as a rotation of the leading coefficients: where the width is short, the finest detail goes first.
    """
    embed = nn.Linear(DEGREE_TERMS * patch, width)
    nn.init.eye_(embed.weight)
    embed.weight.copy_(nn.init.orthogonal_(torch.empty(width, width)) @ embed.weight)
    nn.init.zeros_(embed.bias)
    return embed
