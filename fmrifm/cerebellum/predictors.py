"""Two circuits that predict the next frame from the past, behind one interface: attention, and a cerebellum.

Ohmae & Ohmae (arXiv:2512.02419) hold that neocortex and cerebellum do the same by different circuits. The first is a
causal transformer; the second a fixed sparse expansion of recent frames with a linear readout (granule and Purkinje
cells), feed-forward, or recurrent, its own prediction coming back as input.

Axes: B scans, T frames, P parcels, D hidden features, p lags, M mossy fibres.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from fmrifm.cerebellum.expansion import GranuleLayer


class Prediction(NamedTuple):
    """What is expected of the next frame after each frame."""

    mu: Tensor
    """mu[:, t] predicts frame t + 1 from frames up to t, shape (B, T, P)."""
    hidden: Tensor
    """What the prediction is read from, shape (B, T, D)."""


class Predictor(nn.Module):
    """Predicts frame t + 1 from frames up to t, and knows how far it is off.

    Args:
        parcels: P.
        context: Frames that a prediction looks back on.
    """

    covariance: Tensor

    def __init__(self, parcels: int, context: int) -> None:
        super().__init__()
        self.parcels = parcels
        self.context = context
        self.register_buffer("covariance", torch.eye(parcels))
        """Covariance of the innovations, (P, P), as `learning.fit` found it on the training scans."""

    def forward(self, x: Tensor) -> Prediction:
        """Frames (B, T, P) to what is expected after each."""
        raise NotImplementedError

    @property
    def trainable(self) -> int:
        """How many numbers learn."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)


class AttentionPredictor(Predictor):
    """A causal transformer over frames; each looks back on `context` frames, itself among them.

    Args:
        parcels: P.
        d: Width, D.
        layers: Blocks; together they look back `context` frames.
        context: Frames looked back on.
        heads: Heads of attention.
    """

    def __init__(self, parcels: int, d: int = 64, layers: int = 2, context: int = 16, heads: int = 4) -> None:
        super().__init__(parcels, context)
        self.embed = nn.Linear(parcels, d)
        self.age = nn.Parameter(torch.zeros(context, d))
        block = nn.TransformerEncoderLayer(d, heads, 4 * d, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.head = nn.Linear(d, parcels)
        self.carry = nn.Parameter(torch.zeros(parcels))
        """How much of the present frame is expected to stay: what the blocks add is the change."""
        nn.init.zeros_(self.head.weight)  # at first the mean is expected, the best guess where nothing can be predicted
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Prediction:
        """Each frame with those before it is a sequence of its own, so that a prediction depends on these alone."""
        windows = recent(x, self.context).flatten(0, 1)
        causal = torch.ones(self.context, self.context, dtype=torch.bool, device=x.device).triu(1)
        hidden = self.blocks(self.embed(windows) + self.age, mask=causal)[:, -1].unflatten(0, x.shape[:2])
        return Prediction(self.carry * x + self.head(hidden), hidden)


class CerebellarPredictor(Predictor):
    """Mossy fibres carry the last frames, granule cells expand them, Purkinje cells read out both linearly.

    Only the readout learns. Where it is recurrent, the prediction of the present frame is a mossy fibre too, as
    nuclei project back to the granular layer.

    Args:
        parcels: P.
        lags: Frames looked back on, p.
        granule: Granule cells; at least four a mossy fibre of one lag.
        fan_in: Mossy fibres a granule cell.
        recurrent: Whether the prediction comes back.
        generator: Draws the expansion.
    """

    def __init__(
        self,
        parcels: int,
        lags: int = 16,
        granule: int = 2000,
        fan_in: int = 4,
        recurrent: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(parcels, lags)
        self.recurrent = recurrent
        mossy = parcels * (lags + recurrent)
        self.granule = GranuleLayer(mossy, granule, fan_in, generator or torch.Generator().manual_seed(0))
        self.readout = nn.Linear(mossy + granule, parcels)
        nn.init.zeros_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)

    def forward(self, x: Tensor) -> Prediction:
        """Frame by frame where the prediction comes back, at once where it does not."""
        past = recent(x, self.context).flatten(2)
        if not self.recurrent:
            hidden = self.features(past)
            return Prediction(self.readout(hidden), hidden)
        expected, steps = torch.zeros_like(x[:, 0]), []
        for frame in past.unbind(dim=1):
            hidden = self.features(torch.cat([frame, expected], dim=-1))
            expected = self.readout(hidden)
            steps.append((expected, hidden))
        return Prediction(*(torch.stack(part, dim=1) for part in zip(*steps, strict=True)))

    def features(self, mossy: Tensor) -> Tensor:
        """Mossy fibres (..., M) with the granule cells that they drive."""
        return torch.cat([mossy, self.granule(mossy)], dim=-1)


def recent(x: Tensor, frames: int) -> Tensor:
    """The last frames at each frame, oldest first, zeros before the first: (B, T, P) to (B, T, frames, P)."""
    padded = torch.nn.functional.pad(x, (0, 0, frames - 1, 0))
    return padded.unfold(1, frames, 1).transpose(2, 3)


def width_for(parcels: int, parameters: int, layers: int = 2, heads: int = 4) -> int:
    """Width at which an `AttentionPredictor` has about as many trainable numbers as asked for."""
    widths = range(heads, 1024, heads)
    return min(
        widths,
        key=lambda d: abs(12 * layers * d * d + 13 * layers * d + d * (2 * parcels + 17) + 2 * parcels - parameters),
    )
