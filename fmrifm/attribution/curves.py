"""Deletion and insertion: does the classifier live on the regions that a ranking puts first?

Silence the leading regions, or keep them alone, up to growing shares of the voxels, and let the held-out classifiers
judge: a ranking that means something loses the AUC sooner, or finds it sooner, than regions in random order.

References:
    Petsiuk et al. 2018 (deletion and insertion), arXiv:1806.07421.

Axes: S scans, O orders of regions, R regions, Q shares, n windows, t volumes, V brain voxels.
"""

from collections.abc import Mapping
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from fmrifm.attribution.silence import SilencedScan
from fmrifm.evaluation.metrics import Statistic, auc_statistic, bootstrap, macro_statistic
from fmrifm.model.heads import ScanClassifier

Kind = Literal["deletion", "insertion"]
KINDS: tuple[Kind, ...] = ("deletion", "insertion")
SHARES = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Shares of the pool's voxels: rankings differ in their first few regions."""
RANDOM = "random"
_AT_ONCE = 8
CURVE_COLUMNS = ["method", "kind", "order", "share", "value"]


def heard_regions(order: NDArray[np.int64], voxels_R: NDArray[np.int64], kind: Kind) -> NDArray[np.float32]:
    """Which regions a classifier hears at each share, shape (Q, R): 1 where it does.

    Args:
        order: Region numbers, the leading one first; those left out come last.
        voxels_R: Voxels of each region.
        kind: Whether the leading regions are silenced, or all others.
    """
    reached = np.cumsum(voxels_R[order]) / voxels_R.sum()
    leading = np.zeros((len(SHARES), len(voxels_R)), np.float32)
    for row, share in zip(leading, SHARES, strict=True):
        row[order[: np.searchsorted(reached, share) + 1]] = 1
    return leading if kind == "insertion" else 1 - leading


@torch.no_grad()
def log_odds(
    classifier: ScanClassifier, signal: Tensor, tr_s: Tensor, heard: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Log-odds of one scan while only some regions are heard.

    Args:
        classifier: The fitted network that never saw the subject.
        signal: All windows of the scan, shape (1, n, t, V).
        tr_s: Its repetition time, shape (1,).
        heard: 1 where a region is heard, shape (copies, R).
    """
    classifier.eval()
    scan = SilencedScan(classifier.autoencoder.tokenizer, signal)
    parts = [
        classifier.score(classifier.pool(scan.coefficients(rows), tr_s.expand(len(rows))))
        for rows in torch.from_numpy(heard).to(signal.device).split(_AT_ONCE)
    ]
    return torch.cat(parts).double().cpu().numpy()


def curve_table(
    odds: Mapping[tuple[str, Kind], NDArray[np.float64]], case: NDArray[np.bool_], fold: NDArray[np.int64]
) -> pd.DataFrame:
    """AUC of the held-out classifiers at every share, as curves.tsv holds it.

    Args:
        odds: Log-odds (S, Q) by method, or `random`, and kind; random ones shape (S, draws, Q).
        case: True for cases, shape (S,).
        fold: Fold of each scan's classifier, shape (S,).
    """
    rows = []
    for (method, kind), values in odds.items():
        draws = values[:, None] if values.ndim == 2 else values
        order = RANDOM if method == RANDOM else "importance"
        for place, share in enumerate(SHARES):
            value = np.mean([_auc(case, draws[:, draw, place], fold) for draw in range(draws.shape[1])])
            rows.append({"method": method, "kind": kind, "order": order, "share": share, "value": value})
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def curve_checks(
    odds: Mapping[tuple[str, Kind], NDArray[np.float64]],
    case: NDArray[np.bool_],
    fold: NDArray[np.int64],
    resamples: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Area between each method's curve and that of random orders, positive = better, as rows of checks.tsv."""
    rows = []
    for method, kind in (key for key in odds if key[0] != RANDOM):
        ours = _area(odds[method, kind][:, None], case, fold)
        chance = _area(odds[RANDOM, kind], case, fold)
        sign = 1 if kind == "insertion" else -1
        gain = partial(_gain, ours=ours, chance=chance, sign=sign)
        found = bootstrap(gain, len(case), resamples, rng)
        rows.append({"method": method, "check": kind, "value": found.value, "low": found.ci_low, "high": found.ci_high})
    return pd.DataFrame(rows)


def _area(odds_SDQ: NDArray[np.float64], case: NDArray[np.bool_], fold: NDArray[np.int64]) -> Statistic:
    """Mean AUC over draws and shares, as a function of the weights of scans."""
    scans = len(case)
    columns = odds_SDQ.reshape(scans, -1).T
    return macro_statistic([auc_statistic(case, column, fold, np.arange(scans)) for column in columns])


def _gain(weights: NDArray[np.float64], *, ours: Statistic, chance: Statistic, sign: int) -> NDArray[np.float64]:
    return sign * (ours(weights) - chance(weights))


def _auc(case: NDArray[np.bool_], score: NDArray[np.float64], fold: NDArray[np.int64]) -> float:
    statistic = auc_statistic(case, score, fold, np.arange(len(case)))
    return float(statistic(np.ones((1, len(case))))[0])
