"""Fused attention whose heads look at different distances.

A head adds -|x_q - x_k|^2 / (2 s^2) to its logits. The part that depends on the query alone
cancels in the softmax, and the rest is an inner product, so queries and keys carry a few more
channels and no N x N bias is ever stored.

Axes: B windows, N queries, M keys, H heads, C channels of a head, W = H * C width, F bias channels.
"""

from typing import NamedTuple

import torch
from monai.networks.blocks.transformerblock import TransformerBlock
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

REACH_MM = (8.0, 20.0, 50.0, None, 12.0, None)
"""Length scale s of heads 1 to 6, repeated for more; None looks everywhere, the fifth looks at the mirrored place."""
MIRRORED = 4
REACH_S = 10.0
"""Length scale in time of every head with a reach: BOLD beyond it tells little about now."""
BIAS_CHANNELS = 8
"""x, y, z, t and two for the key's own part, padded to a multiple of 8 that fused kernels like."""


class Bias(NamedTuple):
    """An attention bias in factors: logits of head h gain query[b, h, n] . key[b, h, m]."""

    query: Tensor
    """Shape (B, H, N, F)."""
    key: Tensor
    """Shape (B, H, M, F)."""


class DistanceBias(nn.Module):
    """Makes the bias of every head from the places of queries and keys."""

    scale: Tensor
    flip: Tensor

    def __init__(self, heads: int) -> None:
        super().__init__()
        kinds = [head % len(REACH_MM) for head in range(heads)]
        reach = [REACH_MM[kind] for kind in kinds]
        scale = [[0.0] * 4 if r is None else [1 / r] * 3 + [1 / REACH_S] for r in reach]
        flip = [[-1.0 if kind == MIRRORED else 1.0, 1.0, 1.0, 1.0] for kind in kinds]
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self.register_buffer("flip", torch.tensor(flip), persistent=False)

    def forward(self, query_places: Tensor, key_places: Tensor) -> Bias:
        """Places in mm and s, shapes (B, N, 4) and (B, M, 4)."""
        device, exact = key_places.device.type, key_places.dtype
        kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else exact
        query = (query_places[:, None] * (self.scale * self.flip)[:, None]).to(kind)
        key = (key_places[:, None] * self.scale[:, None]).to(kind)
        # Sums of squares reach a hundred, where 16 bits round by halves: they are made of rounded places, so that
        # the square stays one, and given in two parts.
        own = -0.5 * key.to(exact).square().sum(dim=-1, keepdim=True)
        rest = (own - own.to(kind).to(exact)).to(kind)
        padding = BIAS_CHANNELS - query.shape[-1]
        return Bias(
            query=nn.functional.pad(nn.functional.pad(query, (0, 2), value=1.0), (0, padding - 2)),
            key=nn.functional.pad(torch.cat([key, own.to(kind), rest], dim=-1), (0, padding - 2)),
        )


class PlacedAttention(nn.Module):
    """Multi-head attention with a factored bias, for self-attention or over a context.

    It starts quiet: queries are small, so that the bias alone decides where to look.

    Args:
        width: Channels of a token.
        heads: Attention heads.
        passes_through: Start with values and output as (scaled) identities: the attention is a smoother;
            else start with an output of zero.
    """

    def __init__(self, width: int, heads: int, *, passes_through: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.out_proj = nn.Linear(width, width)
        nn.init.normal_(self.to_q.weight, std=0.02)
        nn.init.zeros_(self.out_proj.bias)
        if passes_through:
            nn.init.eye_(self.to_v.weight)
            nn.init.eye_(self.out_proj.weight).data.mul_(0.5)  # a neighbourhood says half of what a voxel does
        else:
            nn.init.zeros_(self.out_proj.weight)

    def forward(
        self, x: Tensor, attn_mask: Bias, context: Tensor | None = None, values: Tensor | None = None
    ) -> Tensor:
        """Attend.

        Args:
            x: Queries, shape (B, N, W).
            attn_mask: The factored bias; the name is that of MONAI's attention blocks.
            context: What keys are made of, shape (B, M, W); the queries themselves by default.
            values: What values are made of, same shape; the context by default.

        Returns:
            Shape (B, N, W).
        """
        context = x if context is None else context
        q, k = self._asked(x, context, attn_mask)
        v = self._heads(self.to_v(context if values is None else values))
        # Fused kernels want values as wide as keys; without the padding PyTorch stores the N x M matrix.
        wide = nn.functional.pad(v, (0, BIAS_CHANNELS))
        mixed = scaled_dot_product_attention(q, k, wide, scale=1.0)[..., : v.shape[-1]]
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def weights(self, x: Tensor, attn_mask: Bias) -> Tensor:
        """How much each token of self-attention looks at each other: (B, N, W) to (B, H, N, N), rows sum to 1."""
        q, k = self._asked(x, x, attn_mask)
        return (q @ k.mT).softmax(dim=-1)

    def _asked(self, x: Tensor, context: Tensor, bias: Bias) -> tuple[Tensor, Tensor]:
        """Queries and keys of every head, whose inner products are the logits."""
        q = self._heads(self.to_q(x)) * (self.to_q.out_features // self.heads) ** -0.5
        k = self._heads(self.to_k(context))
        return torch.cat([q, bias.query.to(q.dtype)], dim=-1), torch.cat([k, bias.key.to(k.dtype)], dim=-1)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def placed_block(width: int, heads: int) -> TransformerBlock:
    """MONAI's transformer block with placed attention, near the identity at the start."""
    block = TransformerBlock(hidden_size=width, mlp_dim=4 * width, num_heads=heads)
    block.attn = PlacedAttention(width, heads)  # type: ignore[assignment]
    block.norm_cross_attn = nn.Identity()  # type: ignore[assignment]  # unused here, and DDP refuses idle weights
    nn.init.zeros_(block.mlp.linear2.weight)
    nn.init.zeros_(block.mlp.linear2.bias)
    return block
