"""The decoder: hidden places ask the visible tokens what they hold.

With a first guess of the hidden tokens it says what that lacks, at the start nothing. Without one
it starts as a smoother: values pass through unchanged, each head averages its channels over its
own neighbourhood, and the output map mirrors the embedding.

Axes: B windows, N visible tokens, Q queries, M coefficients, p volumes of a patch, W width.
"""

import torch
from monai.networks.blocks.mlp import MLPBlock
from torch import Tensor, nn

from fmrifm.model.attention import Bias, DistanceBias, PlacedAttention
from fmrifm.model.chunks import DEGREE_TERMS
from fmrifm.model.encoder import PlaceEmbedding, coefficient_embedding


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
    """Predicts the coefficients of hidden tokens from the encoded visible ones and a first guess.

    Args:
        patch: Volumes in a token.
        width: Channels of a token.
        memory_width: Channels of a token in the encoder.
        layers: Cross-attention blocks.
        heads: Attention heads.
        guided: Whether a first guess is given: the decoder then starts by adding nothing to it, else as a smoother.
    """

    def __init__(self, *, patch: int, width: int, memory_width: int, layers: int, heads: int, guided: bool) -> None:
        super().__init__()
        self.patch = patch
        self.narrow = nn.Linear(memory_width, width) if memory_width != width else nn.Identity()
        self.guess = coefficient_embedding(patch, width) if guided else None
        self.place = PlaceEmbedding(width)
        self.bias = DistanceBias(heads)
        self.blocks = nn.ModuleList(
            [DecoderBlock(width, heads, passes_through=layer == 0 and not guided) for layer in range(layers)]
        )
        self.output = nn.Linear(width, DEGREE_TERMS * patch)
        if guided:
            nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    @torch.no_grad()
    def mirror(self, embed: nn.Linear) -> None:
        """Without a guess, start the output map as the inverse of the encoder's embedding."""
        if self.guess is not None:
            return
        if isinstance(self.narrow, nn.Linear):
            own = coefficient_embedding(self.patch, self.narrow.out_features).weight
            self.narrow.weight.copy_(own @ torch.linalg.pinv(embed.weight))
            nn.init.zeros_(self.narrow.bias)
            self.output.weight.copy_(own.T)
        else:
            self.output.weight.copy_(embed.weight.T)

    def forward(self, memory: Tensor, places: Tensor, query_places: Tensor, guess: Tensor | None = None) -> Tensor:
        """Predict.

        Args:
            memory: Encoded visible tokens, shape (B, N, W).
            places: Where they are, shape (B, N, 4).
            query_places: Where tokens are asked for, shape (B, Q, 4).
            guess: What is expected there, shape (B, Q, M, p).

        Returns:
            Coefficients, shape (B, Q, M, p), of the tokens or, with a guess, of what it lacks.
        """
        memory, place = self.narrow(memory), self.place(query_places)
        bias = self.bias(query_places, places)
        x = memory.new_zeros(place.shape) if self.guess is None or guess is None else self.guess(guess.flatten(-2))
        for block in self.blocks:
            x = block(x, place, memory, bias)
        return self.output(x).unflatten(-1, (DEGREE_TERMS, self.patch))
