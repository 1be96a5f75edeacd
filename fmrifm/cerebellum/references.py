"""What a prediction has to beat: persistence, autoregression of each parcel alone, ridge regression on all parcels.

Axes: B scans, T frames, P parcels, p lags.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from torch import Tensor

from fmrifm.cerebellum.predictors import Prediction, Predictor, recent

_PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)


class Persistence(Predictor):
    """Expects of the next frame what the present one is."""

    def __init__(self, parcels: int) -> None:
        super().__init__(parcels, 1)

    def forward(self, x: Tensor) -> Prediction:
        """Return the frames themselves."""
        return Prediction(x, x)


class LinearPredictor(Predictor):
    """A linear map of the last frames.

    Args:
        weight: Of each predicted parcel on each lag, oldest first, and parcel: shape (P, p, P).
        bias: Shape (P,).
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__(weight.shape[0], weight.shape[1])
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Prediction:
        """Predict linearly; where frames are missing at the start zeros stand for them."""
        past = recent(x, self.context)
        return Prediction(torch.einsum("btpq,rpq->btr", past, self.weight) + self.bias, past.flatten(2))


def autoregression(train: Tensor, lags: int, kept: Tensor | None = None) -> LinearPredictor:
    """Least squares on each parcel's own past, over training scans (B, T, P); `kept` (B, T) is True for targets."""
    parcels = train.shape[2]
    weight, bias = torch.zeros(parcels, lags, parcels), torch.zeros(parcels)
    for parcel in range(parcels):
        past, target = examples(train[..., parcel, None], lags, kept)
        fitted = Ridge(alpha=1e-3).fit(past, target[:, 0])
        weight[parcel, :, parcel] = torch.from_numpy(fitted.coef_)
        bias[parcel] = float(fitted.intercept_)
    return LinearPredictor(weight, bias)


def vector_autoregression(train: Tensor, lags: int) -> LinearPredictor:
    """Ridge regression on the past of all parcels; a fifth of the training scans chooses the penalty."""
    kept = len(train) // 5
    fitted = chosen_ridge(*examples(train, lags), held=kept * (train.shape[1] - lags))
    weight = torch.from_numpy(fitted.coef_).float().unflatten(1, (lags, train.shape[2]))
    return LinearPredictor(weight, torch.from_numpy(np.asarray(fitted.intercept_)).float())


def chosen_ridge(features: NDArray[np.float32], target: NDArray[np.float32], held: int) -> Ridge:
    """Ridge regression on all examples, with the penalty that predicts the first `held` of them best from the rest."""

    def error(alpha: float) -> float:
        fitted = Ridge(alpha=alpha).fit(features[held:], target[held:])
        return float(np.square(fitted.predict(features[:held]) - target[:held]).mean())

    best = min(_PENALTIES, key=error) if held else _PENALTIES[-1]
    return Ridge(alpha=best).fit(features, target)


def examples(x: Tensor, lags: int, kept: Tensor | None = None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Whole pasts and the frames that follow, where these count, over scans (B, T, P): (n, p * P) and (n, P)."""
    past = recent(x, lags)[:, lags - 1 : -1].flatten(2)
    counts = torch.ones(past.shape[:2], dtype=torch.bool) if kept is None else kept[:, lags:]
    return past[counts].numpy(), x[:, lags:][counts].numpy()
