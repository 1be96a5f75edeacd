"""The decoder: hidden places ask the visible tokens what they hold.

It starts as a smoother: values pass through unchanged, each head averages its channels over its
own neighbourhood, and the output map mirrors the embedding. Prototypes without this stayed at R2 0.

Axes: B windows, N visible tokens, Q queries, M coefficients, p volumes of a patch, W width.
"""

from monai.networks.blocks.mlp import MLPBlock
from torch import Tensor, nn

from fmrifm.model.attention import Bias, DistanceBias, PlacedAttention
from fmrifm.model.chunks import DEGREE_TERMS
from fmrifm.model.encoder import PlaceEmbedding


class DecoderBlock(nn.Module):
    """Cross-attention over the visible tokens, then an MLP."""

    def __init__(self, width: int, heads: int, *, passes_through: bool) -> None:
        super().__init__()
        self.norm_query = nn.LayerNorm(width)
        self.norm_memory = nn.LayerNorm(width)
        self.attn = PlacedAttention(width, heads, passes_through=passes_through)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = MLPBlock(width, 4 * width)
        nn.init.zeros_(self.mlp.linear2.weight)
        nn.init.zeros_(self.mlp.linear2.bias)

    def forward(self, x: Tensor, place: Tensor, memory: Tensor, bias: Bias) -> Tensor:
        """Queries (B, Q, W) at embedded places (B, Q, W) read memory (B, N, W)."""
        # Values skip the norm: it would erase how strong each token's signal is.
        x = x + self.attn(self.norm_query(x + place), bias, context=self.norm_memory(memory), values=memory)
        return x + self.mlp(self.norm_mlp(x + place))


class Decoder(nn.Module):
    """Predicts the coefficients of hidden tokens from the encoded visible ones.

    Args:
        patch: Volumes in a token.
        width: Channels of a token, as in the encoder.
        layers: Cross-attention blocks.
        heads: Attention heads.
    """

    def __init__(self, *, patch: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.patch = patch
        self.place = PlaceEmbedding(width)
        self.bias = DistanceBias(heads)
        self.blocks = nn.ModuleList([DecoderBlock(width, heads, passes_through=layer == 0) for layer in range(layers)])
        self.output = nn.Linear(width, DEGREE_TERMS * patch)

    def mirror(self, embed: nn.Linear) -> None:
        """Start the output map as the transpose of the encoder's embedding."""
        self.output.weight.data.copy_(embed.weight.T)
        nn.init.zeros_(self.output.bias)

    def forward(self, memory: Tensor, places: Tensor, query_places: Tensor) -> Tensor:
        """Memory (B, N, W) at places (B, N, 4), asked at (B, Q, 4), to coefficients (B, Q, M, p)."""
        place = self.place(query_places)
        bias = self.bias(query_places, places)
        x = memory.new_zeros(place.shape)
        for block in self.blocks:
            x = block(x, place, memory, bias)
        return self.output(x).unflatten(-1, (DEGREE_TERMS, self.patch))
