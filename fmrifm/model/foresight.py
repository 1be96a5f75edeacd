"""The next volumes from those before them: what `objective: next` asks of the encoder.

The encoder sees every time patch of a window but the last, and a head of its own predicts the first volumes of that
one. A window is scaled by its past alone: the z-score over a whole scan, which masked reconstruction uses, tells of the
future.

Axes: B windows, t volumes, V brain voxels, T time patches, K chunks, N tokens = T * K, Q predicted chunks, P voxels of
a chunk (padded), p volumes of a patch, M coefficients, H volumes ahead, W width.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from fmrifm.config import ModelConfig
from fmrifm.model.decoder import Decoder
from fmrifm.model.draws import take
from fmrifm.model.encoder import Encoder
from fmrifm.model.tokens import Tokenizer

AHEAD = 3
"""H, or as many volumes as a time patch has: point forecasts of BOLD beyond some ten seconds are worth nothing."""
_CONSTANT = 1e-3
"""A voxel that deviates less over the past, in the signal's unit, is expected to stay where it is, and not counted."""


class Forecast(NamedTuple):
    """Predicted volumes of chunks beside the true ones."""

    prediction: Tensor
    """Shape (B, Q, P, H), in the unit of the signal."""
    target: Tensor
    """Same shape and unit."""
    last: Tensor
    """The last volume seen, which persistence predicts, shape (B, Q, P, 1)."""
    weight: Tensor
    """True where a voxel is in the chunk, covered by the scan and not constant before, shape (B, Q, P)."""


class Past(NamedTuple):
    """What a window was like before its last time patch, for each voxel of each chunk, shape (B, K, P, 1)."""

    mean: Tensor
    scale: Tensor
    """Deviation over time; 1 where it is constant."""
    varies: Tensor
    """True where it is not."""


class NextHead(nn.Module):
    """Predicts how the volumes after a window's past differ from a share of the last one.

    Args:
        tokenizer: Geometry of the tokens.
        config: Sizes.

    Raises:
        ValueError: A window is one time patch, so that nothing is before it.
    """

    def __init__(self, tokenizer: Tokenizer, config: ModelConfig) -> None:
        super().__init__()
        if tokenizer.patches < 2:
            raise ValueError("a window of one time patch has no past")
        self.ahead = min(AHEAD, tokenizer.patch)
        self.carry = nn.Parameter(torch.zeros(self.ahead))
        """How much of the last volume stays, at each volume ahead; at first the mean is expected."""
        self.decoder = Decoder(
            patch=self.ahead,
            width=config.width if config.decoder_width is None else config.decoder_width,
            memory_width=config.width,
            layers=config.decoder_layers,
            heads=config.heads,
            guided=True,
        )

    def forward(
        self, encoder: Encoder, tokenizer: Tokenizer, signal: Tensor, covered: Tensor, tr_s: Tensor, chunk: Tensor
    ) -> Forecast:
        """Predict chosen chunks just after the past of windows.

        Args:
            encoder: Reads the past.
            tokenizer: Geometry of the tokens.
            signal: Windows, shape (B, t, V), in any unit: each voxel is scaled by its own past.
            covered: True where the scan has signal, shape (B, V).
            tr_s: Repetition times in seconds, shape (B,).
            chunk: Chunks to predict, shape (B, Q).
        """
        tokens = tokenizer.split(signal).unflatten(1, (tokenizer.patches, -1))
        past = past_of(tokens[:, :-1])
        scaled = ((tokens[:, :-1] - past.mean[:, None]) / past.scale[:, None]).flatten(1, 2)
        places = tokenizer.places(tr_s)[:, : scaled.shape[1]]
        memory = encoder(tokenizer.project(scaled), places)
        recent = take(scaled.unflatten(1, (tokenizer.patches - 1, -1))[:, -1], chunk)[..., -self.ahead :]
        asked = self._moment(take(places, chunk), tokenizer, tr_s)
        change = self.decoder(memory, places, asked, tokenizer.describe(recent, chunk))
        expected = self.carry * recent[..., -1:] + tokenizer.expand(change, chunk)
        mean, scale, varies = (take(part, chunk) for part in past)
        return Forecast(
            prediction=expected * scale + mean,
            target=take(tokens[:, -1], chunk)[..., : self.ahead],
            last=take(tokens[:, -2], chunk)[..., -1:],
            weight=tokenizer.countable(covered, chunk) & varies[..., 0],
        )

    def _moment(self, places: Tensor, tokenizer: Tokenizer, tr_s: Tensor) -> Tensor:
        """Put places (B, Q, 4) in the middle of the volumes that are predicted."""
        volumes = (tokenizer.patches - 1) * tokenizer.patch + self.ahead / 2
        return torch.cat([places[..., :3], (tr_s * volumes)[:, None, None].expand(*places.shape[:2], 1)], dim=-1)


def past_of(tokens: Tensor) -> Past:
    """Mean and deviation of each voxel over time patches: (B, T, K, P, p) to (B, K, P, 1) each."""
    mean = tokens.mean(dim=(1, 4))[..., None]
    deviation = tokens.std(dim=(1, 4), correction=0)[..., None]
    varies = deviation > _CONSTANT
    return Past(mean, torch.where(varies, deviation, 1.0), varies)


def forecast_errors(forecast: Forecast) -> Tensor:
    """Sums of squared errors at each volume ahead: of the forecast, and of persistence; shape (2, H)."""
    errors = torch.stack([forecast.prediction - forecast.target, forecast.last - forecast.target])
    return (errors.square() * forecast.weight[..., None]).sum(dim=(1, 2, 3))
