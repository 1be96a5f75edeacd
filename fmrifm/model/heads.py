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
from fmrifm.model.recurrent import RecurrentPooling
from fmrifm.model.tokens import Tokenizer


class ScanClassifier(nn.Module):
    """Predicts the label from all windows of a scan: log-odds of label 1, or logits of more than two classes.

    Args:
        autoencoder: The pretrained model; its encoder is used.
        pooling: How token features become one vector.
        connectivity: Which pooling of second order, where it is one.
        classes: Labels that are told apart.
    """

    def __init__(
        self,
        autoencoder: MaskedAutoencoder,
        pooling: PoolingKind,
        connectivity: Connectivity = "correlation",
        classes: int = 2,
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        width = autoencoder.encoder.embed.out_features
        self.pooling = build_pooling(pooling, connectivity, autoencoder.tokenizer, width)
        self.linear = nn.Linear(self.pooling.size, 1 if classes == 2 else classes)

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

    def tokens(self, coefficients: Tensor, tr_s: Tensor, has_signal: Tensor | None = None) -> Tensor:
        """Encode coefficients (S, n, N, M, p) to (S, n, N, W); a token without signal has features of 0.

        Args:
            coefficients: What the encoder sees.
            tr_s: Repetition times, shape (S,).
            has_signal: True where a token counts as one with signal, shape (S, n, N); by default where it has any.
        """
        places = self.autoencoder.tokenizer.places(tr_s.repeat_interleave(coefficients.shape[1]))
        features = self.autoencoder.encoder(coefficients.flatten(0, 1), places)
        # Else the encoder's constants stand there, and two regions that a scan does not cover correlate at 1.
        counts = with_signal(coefficients) if has_signal is None else has_signal
        return features.unflatten(0, coefficients.shape[:2]) * counts[..., None]

    def score(self, pooled: Tensor, linear: nn.Linear | None = None) -> Tensor:
        """Log-odds against label 0 of pooled features (S, D), shape (S,), by the own linear layer or another one."""
        logits = (self.linear if linear is None else linear)(pooled)
        if logits.shape[-1] == 1:
            return logits.squeeze(-1)
        return logits[:, 1:].logsumexp(dim=-1) - logits[:, 0]

    def probability(self, pooled: Tensor) -> Tensor:
        """Probability of label 1 for pooled features (S, D), shape (S,); of C classes of each, shape (S, C)."""
        logits = self.linear(pooled)
        return logits.squeeze(-1).sigmoid() if logits.shape[-1] == 1 else logits.softmax(dim=-1)

    def forward(self, signal: Tensor, tr_s: Tensor) -> Tensor:
        """What the linear layer says of scans, shape (S, 1), or (S, C) for C classes."""
        return self.linear(self.features(signal, tr_s))

    @torch.no_grad()
    def set_head(self, weight: Tensor, bias: Tensor) -> None:
        """Take over a linear classifier fitted elsewhere: weight (1, D) and bias (1,), or (C, D) and (C,)."""
        self.linear.weight.copy_(weight)
        self.linear.bias.copy_(bias)


def class_logits(said: Tensor) -> Tensor:
    """Logits of every class, shape (S, C), by what the linear layer says: of two classes label 0 has a logit of 0."""
    return torch.cat([torch.zeros_like(said), said], dim=-1) if said.shape[-1] == 1 else said


def with_signal(coefficients: Tensor) -> Tensor:
    """Tell which tokens have any signal: coefficients (..., N, M, p) to (..., N), True there."""
    return (coefficients != 0).any(dim=-1).any(dim=-1)


def build_pooling(kind: PoolingKind, connectivity: Connectivity, tokenizer: Tokenizer, width: int) -> Pooling:
    """Return the pooling of that name; `connectivity` says which one of second order."""
    if kind == "connectivity":
        return CONNECTIVITY[connectivity](tokenizer)
    if kind == "recurrent":
        return RecurrentPooling(tokenizer)
    return MeanPooling(width) if kind == "mean" else AttentionPooling(width)
