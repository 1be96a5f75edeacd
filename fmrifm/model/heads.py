"""The scan classifier: encoder, pooling over all windows, one linear layer.

Axes: S scans, n windows of a scan, t volumes, V brain voxels, N tokens, M coefficients, p volumes of a patch,
D pooled features.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from fmrifm.model.mae import MaskedAutoencoder
from fmrifm.model.pooling import build_pooling


class ScanClassifier(nn.Module):
    """Predicts the log-odds of label 1 from all windows of a scan.

    Args:
        autoencoder: The pretrained model; its encoder is used.
        pooling: How token features become one vector.
    """

    def __init__(self, autoencoder: MaskedAutoencoder, pooling: Literal["connectivity", "mean"]) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.pooling = build_pooling(pooling, autoencoder.tokenizer, autoencoder.encoder.embed.out_features)
        self.linear = nn.Linear(self.pooling.size, 1)

    def features(self, signal: Tensor, tr_s: Tensor) -> Tensor:
        """Pooled features of scans: windows (S, n, t, V) and repetition times (S,) to (S, D)."""
        return self.pool(self.coefficients(signal), tr_s)

    def coefficients(self, signal: Tensor) -> Tensor:
        """What the encoder sees of scans: windows (S, n, t, V) to coefficients (S, n, N, M, p)."""
        return self.autoencoder.coefficients(signal.flatten(0, 1)).unflatten(0, signal.shape[:2])

    def pool(self, coefficients: Tensor, tr_s: Tensor) -> Tensor:
        """Encode and pool coefficients (S, n, N, M, p) to (S, D); a token without signal has features of 0."""
        places = self.autoencoder.tokenizer.places(tr_s.repeat_interleave(coefficients.shape[1]))
        features = self.autoencoder.encoder(coefficients.flatten(0, 1), places)
        # Else the encoder's constants stand there, and two regions that a scan does not cover correlate at 1.
        has_signal = (coefficients != 0).any(dim=-1).any(dim=-1, keepdim=True)
        return self.pooling(features.unflatten(0, coefficients.shape[:2]) * has_signal)

    def score(self, pooled: Tensor) -> Tensor:
        """Log-odds of pooled features (S, D), shape (S,)."""
        return self.linear(pooled).squeeze(-1)

    def forward(self, signal: Tensor, tr_s: Tensor) -> Tensor:
        """Log-odds of scans, shape (S,)."""
        return self.score(self.features(signal, tr_s))

    @torch.no_grad()
    def set_head(self, weight: Tensor, bias: float) -> None:
        """Take over a linear classifier fitted elsewhere: weight (D,)."""
        self.linear.weight.copy_(weight[None])
        self.linear.bias.fill_(bias)
