"""Features of whole scans, and the linear classifier on top of them.

Axes: S scans, n windows of a scan, D features.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.utils.data import default_collate

from fmrifm.data.windows import Windows
from fmrifm.model.heads import ScanClassifier


def scan_windows(windows: Windows, scan: int, most: int | None = None) -> tuple[Tensor, Tensor]:
    """All windows that cover one scan, as a batch of one scan: (1, n, t, V), and its repetition time (1,)."""
    batch = default_collate([windows[place] for place in windows.cover(scan, most)])
    return batch.signal[None], batch.tr_s[:1]


@torch.no_grad()
def scan_summaries(classifier: ScanClassifier, windows: Windows, scans: Iterable[int]) -> Tensor:
    """What pooling says of each scan alone, one scan at a time, shape (S, ...)."""
    device = next(classifier.parameters()).device
    classifier.eval()
    rows = []
    for scan in scans:
        signal, tr_s = scan_windows(windows, scan)
        rows.append(classifier.summaries(signal.to(device), tr_s.to(device)).cpu())
    return torch.cat(rows)


@torch.no_grad()
def scan_features(classifier: ScanClassifier, summaries: Tensor) -> NDArray[np.float32]:
    """Pooled features of scans from their summaries, shape (S, D)."""
    return classifier.pooling.vectorise(summaries).numpy()


def linear_classifier(features: int, penalty: float) -> Pipeline:
    """Standardise, then logistic regression with balanced classes.

    Connectomes have far more edges than subjects. The penalty is that of a ridge regression with
    alpha = penalty * features, which prototypes found good; logistic loss curves a quarter as much, hence the 4.
    """
    return make_pipeline(
        StandardScaler(),
        LogisticRegression(C=4 / (penalty * features), class_weight="balanced", max_iter=5000, tol=1e-6),
    )


def fit_head(features: NDArray[np.floating], label: NDArray[np.int64], penalty: float) -> tuple[Tensor, float]:
    """Fit the linear classifier and fold the standardisation in.

    Args:
        features: Shape (S, D).
        label: 0 or 1, shape (S,).
        penalty: Strength of the L2 penalty as a multiple of D.

    Returns:
        Weight (D,) and bias, so that features @ weight + bias are log-odds.
    """
    # In float32 the solver stops where rounding makes it, about 1e-4 from the optimum.
    scaler, regression = linear_classifier(features.shape[1], penalty).fit(features.astype(np.float64), label)
    weight = regression.coef_[0] / scaler.scale_
    bias = regression.intercept_[0] - weight @ scaler.mean_
    return torch.from_numpy(weight).float(), float(bias)
