"""The masked autoencoder: tokenise, hide, encode what is visible, predict what is hidden, or what comes next.

Axes: B windows, t volumes, V brain voxels, N tokens, Q predicted tokens, P voxels of a chunk, p volumes of a patch.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from fmrifm.config import ModelConfig
from fmrifm.model.decoder import Decoder
from fmrifm.model.draws import Draw, take
from fmrifm.model.encoder import Encoder
from fmrifm.model.foresight import Forecast, NextHead
from fmrifm.model.population import PopulationPrior
from fmrifm.model.tokens import Tokenizer


class Reconstruction(NamedTuple):
    """Predicted tokens beside the true ones."""

    prediction: Tensor
    """Shape (B, Q, P, p), z-scored BOLD."""
    target: Tensor
    """Same shape and scale."""
    weight: Tensor
    """True where a voxel is in the chunk and covered by the scan, shape (B, Q, P)."""
    token: Tensor
    """Which tokens these are, shape (B, Q)."""


class MaskedAutoencoder(nn.Module):
    """Reconstructs hidden tokens of a window from the visible ones.

    Args:
        tokenizer: Geometry of the tokens.
        config: Sizes.
        foresees: Whether it also learns to predict the next volumes.
    """

    def __init__(self, tokenizer: Tokenizer, config: ModelConfig, *, foresees: bool = False) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        size = {"patch": tokenizer.patch, "heads": config.heads}
        self.encoder = Encoder(width=config.width, layers=config.layers, checkpointing=config.checkpointing, **size)
        self.prior = PopulationPrior(tokenizer.voxels, config.components) if config.components else None
        self.decoder = Decoder(
            width=config.width if config.decoder_width is None else config.decoder_width,
            memory_width=config.width,
            layers=config.decoder_layers,
            guided=self.prior is not None,
            **size,
        )
        self.decoder.mirror(self.encoder.embed)
        self.next = NextHead(tokenizer, config) if foresees else None

    @property
    def blocks(self) -> list[nn.Module]:
        """Transformer blocks of all parts, each compiled or shared out by itself."""
        ahead = [] if self.next is None else [*self.next.decoder.blocks]
        return [*self.encoder.blocks, *self.decoder.blocks, *ahead]

    def features(self, signal: Tensor, tr_s: Tensor) -> Tensor:
        """Encode whole windows, nothing hidden: signal (B, t, V) to features (B, N, W)."""
        return self.encoder(self.coefficients(signal), self.tokenizer.places(tr_s))

    def coefficients(self, signal: Tensor) -> Tensor:
        """What the encoder sees of windows: signal (B, t, V) to coefficients (B, N, M, p)."""
        return self.tokenizer.project(self.tokenizer.split(signal))

    def forward(self, signal: Tensor, covered: Tensor, tr_s: Tensor, drawn: Draw) -> Reconstruction:
        """Predict drawn tokens of windows from drawn others.

        Args:
            signal: Windows, shape (B, t, V), z-scored BOLD.
            covered: True where the scan has signal, shape (B, V).
            tr_s: Repetition times in seconds, shape (B,).
            drawn: What the encoder sees and what is predicted.
        """
        tokens = self.tokenizer.split(signal)
        return self.reconstruct(tokens, self.tokenizer.project(tokens), covered, tr_s, drawn)

    def foresee(self, signal: Tensor, covered: Tensor, tr_s: Tensor, chunk: Tensor) -> Forecast:
        """Predict the first volumes of the last time patch from the patches before it (`NextHead.forward`)."""
        if self.next is None:
            raise ValueError("this model was not trained to predict the next volumes")
        return self.next(self.encoder, self.tokenizer, signal, covered, tr_s, chunk)

    def expect(self, signal: Tensor, covered: Tensor, drawn: Draw) -> Reconstruction:
        """As `forward`, by the population prior alone, or by the temporal mean, 0, where there is none."""
        tokens = self.tokenizer.split(signal)
        target = take(tokens, drawn.query)
        guess = torch.zeros_like(target) if self.prior is None else self.prior(tokens, covered, drawn, self.tokenizer)
        return Reconstruction(guess, target, self.tokenizer.countable(covered, drawn.query), drawn.query)

    def reconstruct(
        self, tokens: Tensor, coefficients: Tensor, covered: Tensor, tr_s: Tensor, drawn: Draw
    ) -> Reconstruction:
        """As `forward`, from windows that were cut already.

        Args:
            tokens: All tokens, shape (B, N, P, p).
            coefficients: Their projections, shape (B, N, M, p).
            covered: True where the scan has signal, shape (B, V).
            tr_s: Repetition times in seconds, shape (B,).
            drawn: What the encoder sees and what is predicted.
        """
        visible, query = drawn
        places = self.tokenizer.places(tr_s)
        asked = take(places, visible), take(places, query)
        memory = self.encoder(take(coefficients, visible), asked[0])
        if self.prior is None:
            prediction = self.tokenizer.expand(self.decoder(memory, *asked), query)
        else:
            guess = self.prior(tokens, covered, drawn, self.tokenizer)
            change = self.decoder(memory, *asked, self.tokenizer.describe(guess, query))
            prediction = guess + self.tokenizer.expand(change, query)
        return Reconstruction(
            prediction=prediction,
            target=take(tokens, query),
            weight=self.tokenizer.countable(covered, query),
            token=query,
        )
