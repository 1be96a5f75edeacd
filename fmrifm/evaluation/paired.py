"""Is one model better than another? Differences on the same folds and the same subjects.

Two answers stand side by side. The bootstrap over subjects asks about other subjects and takes the
fitted models as they are. The corrected t-test over folds asks about other training sets too.

Axes: J folds.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from math import nan
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

from fmrifm.evaluation.metrics import Statistic, bootstrap, fold_scores, metric_statistics, none_if_nan
from fmrifm.evaluation.splits import Fold

_ALPHA = 0.05
_POWER = 0.8
_ROW = ["subject", "repeat", "fold", "label"]


@dataclass(frozen=True)
class FoldTest:
    """A corrected resampled t-test of a mean difference; NaN where fewer than two folds have one."""

    mean: float
    low: float
    """Of the 95 % interval."""
    high: float
    p: float
    """Two-sided."""
    smallest: float
    """The smallest true difference that this test finds with 80 % power."""


@dataclass(frozen=True)
class Difference:
    """Ours minus theirs in one metric."""

    value: float
    ci_low: float
    """95 % interval by paired bootstrap over subjects."""
    ci_high: float
    n: int
    """Subjects."""
    fold_mean: float
    """Mean difference of folds, with the interval and p of the corrected t-test over them."""
    t_low: float
    t_high: float
    p: float
    smallest: float
    """The smallest true difference that the test over folds finds with 80 % power."""

    def to_json(self) -> dict[str, Any]:
        """As metrics.json holds it; an undefined figure is null."""
        return {name: none_if_nan(value) for name, value in asdict(self).items()}


def paired_differences(
    ours: pd.DataFrame, theirs: pd.DataFrame, folds: Sequence[Fold], resamples: int, rng: np.random.Generator
) -> dict[str, Difference]:
    """Compare two models that predicted the same subjects in the same folds, metric by metric.

    Args:
        ours: Predictions as `by_subject` gives them.
        theirs: Those that are subtracted.
        folds: The folds that the tables number.
        resamples: Bootstrap draws over subjects.
        rng: Source of randomness.

    Raises:
        ValueError: The tables differ in subjects, folds, labels or classes.
    """
    first, second = (table.sort_values(_ROW, ignore_index=True) for table in (ours, theirs))
    if not first[_ROW].equals(second[_ROW]):
        raise ValueError(f"paired_differences: the two tables differ in {', '.join(_ROW)}.")
    one, other = metric_statistics(first), metric_statistics(second)
    if list(one) != list(other):
        raise ValueError(f"paired_differences: one model has {', '.join(one)}, the other {', '.join(other)}.")
    by_fold = fold_scores(first) - fold_scores(second)
    shares = pd.Series([len(fold.test) / len(fold.train) for fold in folds])
    n = first["subject"].nunique()
    found = {}
    for name in one:
        score = bootstrap(_minus(one[name], other[name]), n, resamples, rng)
        known = by_fold[name].dropna()
        test = corrected_t(known.to_numpy(), float(shares[known.index].mean()))
        found[name] = Difference(score.value, score.ci_low, score.ci_high, n, *asdict(test).values())
    return found


def corrected_t(differences: NDArray[np.floating], test_share: float) -> FoldTest:
    """Test whether a mean difference over resampled folds is 0.

    Training sets overlap, so folds are not independent and a plain t-test finds differences where there are none.
    The variance of the mean is therefore taken as (1 / J + n_test / n_train) s^2.

    Args:
        differences: One a fold, shape (J,).
        test_share: n_test / n_train; 0 gives the plain t-test.

    References:
        Nadeau and Bengio 2003, Inference for the generalization error, section 4.2, doi:10.1023/A:1024068626366;
        for repeated k-fold, Bouckaert and Frank 2004, doi:10.1007/978-3-540-24775-3_3.
    """
    folds = len(differences)
    if folds < 2:
        return FoldTest(float(differences.mean()) if folds else nan, nan, nan, nan, nan)
    mean = float(differences.mean())
    error = float(np.sqrt((1 / folds + test_share) * differences.var(ddof=1)))
    half = float(stats.t.isf(_ALPHA / 2, folds - 1)) * error
    # Without spread: no difference in any fold is no evidence, the same one in all is as much as there can be.
    p = 2 * float(stats.t.sf(abs(mean) / error, folds - 1)) if error else float(mean == 0)
    return FoldTest(mean, mean - half, mean + half, p, _errors_to_be_found(folds - 1) * error)


@cache
def _errors_to_be_found(df: int) -> float:
    """How many standard errors a true difference must have for the test to find it, on its side, with the power."""
    critical = float(stats.t.isf(_ALPHA / 2, df))
    return float(brentq(lambda errors: stats.nct.sf(critical, df, errors) - _POWER, 0.0, 2 * critical + 2))


def _minus(ours: Statistic, theirs: Statistic) -> Statistic:
    return lambda weights: ours(weights) - theirs(weights)
