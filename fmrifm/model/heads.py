"""The scan classifier: encoder, pooling over all windows, one linear layer.

Axes: S scans, n windows of a scan, t volumes, V brain voxels, N tokens, M coefficients, p volumes of a patch,
W width, D pooled features.
"""

import torch
from torch import Tensor, nn

from fmrifm.config import Connectivity, PoolingKind
from fmrifm.model.connectivity import CONNECTIVITY
from fmrifm.model.mae import MaskedAutoencoder
from fmrifm.model.pooling import AttentionPooling, MeanPooling, Pooling
from fmrifm.model.tokens import Tokenizer


class ScanClassifier(nn.Module):
    """Predicts the log-odds of label 1 from all windows of a scan.

    Args:
        autoencoder: The pretrained model; its encoder is used.
        pooling: How token features become one vector.
        connectivity: Which pooling of second order, where it is one.
    """

    def __init__(
        self, autoencoder: MaskedAutoencoder, pooling: PoolingKind, connectivity: Connectivity = "correlation"
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        width = autoencoder.encoder.embed.out_features
        self.pooling = build_pooling(pooling, connectivity, autoencoder.tokenizer, width)
        self.linear = nn.Linear(self.pooling.size, 1)

    def features(self, signal: Tensor, tr_s: Tensor) -> Tensor:
        """Pooled features of scans: windows (S, n, t, V) and repetition times (S,) to (S, D)."""
        return self.pool(self.coefficients(signal), tr_s)

    def summaries(self, signal: Tensor, tr_s: Tensor) -> Tensor:
        """What pooling says of each scan alone, before it is measured against training scans: shape (S, ...)."""
        return self.pooling.summarise(self.tokens(self.coefficients(signal), tr_s))

    def coefficients(self, signal: Tensor) -> Tensor:
        """What the encoder sees of scans: windows (S, n, t, V) to coefficients (S, n, N, M, p)."""
        return self.autoencoder.coefficients(signal.flatten(0, 1)).unflatten(0, signal.shape[:2])

    def pool(self, coefficients: Tensor, tr_s: Tensor) -> Tensor:
        """Encode and pool coefficients (S, n, N, M, p) to (S, D)."""
        return self.pooling(self.tokens(coefficients, tr_s))

    def tokens(self, coefficients: Tensor, tr_s: Tensor) -> Tensor:
        """Encode coefficients (S, n, N, M, p) to (S, n, N, W); a token without signal has features of 0."""
        places = self.autoencoder.tokenizer.places(tr_s.repeat_interleave(coefficients.shape[1]))
        features = self.autoencoder.encoder(coefficients.flatten(0, 1), places)
        # Else the encoder's constants stand there, and two regions that a scan does not cover correlate at 1.
        has_signal = (coefficients != 0).any(dim=-1).any(dim=-1, keepdim=True)
        return features.unflatten(0, coefficients.shape[:2]) * has_signal

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


def build_pooling(kind: PoolingKind, connectivity: Connectivity, tokenizer: Tokenizer, width: int) -> Pooling:
    """Return the pooling of that name; `connectivity` says which one of second order."""
    if kind == "connectivity":
        return CONNECTIVITY[connectivity](tokenizer)
    return MeanPooling(width) if kind == "mean" else AttentionPooling(width)
