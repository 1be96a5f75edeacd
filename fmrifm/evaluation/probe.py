"""Features of whole scans, and the linear classifier on top of them.

Axes: S scans, n windows of a scan, D features.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from fmrifm.data.windows import Windows
from fmrifm.model.heads import ScanClassifier


def scan_windows(windows: Windows, scan: int, most: int | None = None) -> tuple[Tensor, Tensor]:
    """All windows that cover one scan, as a batch of one scan: (1, n, t, V), and its repetition time (1,)."""
    batch = windows.batch(windows.cover(scan, most))
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
    return classifier.pooling.collect(rows)


@torch.no_grad()
def scan_features(classifier: ScanClassifier, summaries: Tensor) -> NDArray[np.float32]:
    """Pooled features of scans from their summaries, shape (S, D)."""
    return classifier.pooling.vectorise(summaries).numpy()


def rotation() -> Pipeline:
    """Standardise features, then turn them until the last ones are 0 for all training scans.

    Connectomes have far more edges than there are scans. What the L2 penalty sees is the same after a rotation, so
    that a classifier of as many numbers as scans is the same classifier, in a fraction of the time.
    """
    return make_pipeline(StandardScaler(), PCA(svd_solver="full"))


def regression(features: int, penalty: float) -> LogisticRegression:
    """Logistic regression with balanced classes on rotated features.

    The penalty is that of a ridge regression with alpha = penalty * features, which prototypes found good; logistic
    loss curves a quarter as much, hence the 4.

    Args:
        features: Number of features before the rotation.
        penalty: Strength of the L2 penalty as a multiple of that number.
    """
    return LogisticRegression(C=4 / (penalty * features), class_weight="balanced", max_iter=5000, tol=1e-6)


def linear_classifier(features: int, penalty: float) -> Pipeline:
    """Standardise, rotate, classify."""
    return make_pipeline(*(step for _, step in rotation().steps), regression(features, penalty))


def class_probability(
    model: Pipeline | LogisticRegression, features: NDArray[np.floating] | pd.DataFrame, classes: int
) -> NDArray[np.float64]:
    """Probability of label 1, (S,), or of each of C > 2 labels, (S, C); 0 for one that the training scans lack."""
    probability = np.zeros((len(features), classes))
    probability[:, model.classes_] = model.predict_proba(features)
    return probability[:, 1] if classes == 2 else probability


def fit_head(features: NDArray[np.floating], label: NDArray[np.int64], penalty: float) -> tuple[Tensor, Tensor]:
    """Fit the linear classifier and fold standardisation and rotation in.

    Args:
        features: Shape (S, D).
        label: 0 to C - 1, shape (S,).
        penalty: Strength of the L2 penalty as a multiple of D.

    Returns:
        Weight (1, D) and bias (1,), so that features @ weight.T + bias are log-odds; for more than two classes
        (C, D) and (C,), whose softmax are probabilities.
    """
    # In float32 the solver stops where rounding makes it, about 1e-4 from the optimum.
    model = linear_classifier(features.shape[1], penalty).fit(features.astype(np.float64), label)
    scaler, turned, fitted = (step for _, step in model.steps)
    weight = fitted.coef_ @ turned.components_ / scaler.scale_
    bias = fitted.intercept_ - fitted.coef_ @ (turned.components_ @ turned.mean_) - weight @ scaler.mean_
    return torch.from_numpy(weight).float(), torch.from_numpy(bias).float()
