"""Do probabilities mean what they say? Predicted against observed shares of cases."""

import numpy as np
import pandas as pd
from scipy.stats import binomtest


def calibration_table(predictions: pd.DataFrame, bins: int) -> pd.DataFrame:
    """Set the mean probability of similar subjects beside the share of cases among them.

    Args:
        predictions: As `by_subject` gives them, of two classes; a subject's repeats are averaged first.
        bins: Quantile bins of the probability; equal probabilities share one, so there may be fewer.

    Returns:
        One row a bin that holds anyone: bin (from 0), predicted, observed, its 95 % interval (Wilson) ci_low and
        ci_high, and n subjects.
    """
    subjects = predictions.groupby("subject").agg({"probability": "mean", "label": "first"})
    # The edges are scikit-learn's: a probability on an edge belongs below it.
    edges = np.quantile(subjects["probability"], np.linspace(0, 1, bins + 1))
    place = np.searchsorted(edges[1:-1], subjects["probability"])
    rows: list[tuple[float, ...]] = []
    for _, part in subjects.groupby(place):
        cases, n = int(part["label"].sum()), len(part)
        interval = binomtest(cases, n).proportion_ci(method="wilson")
        rows.append((len(rows), part["probability"].mean(), cases / n, interval.low, interval.high, n))
    return pd.DataFrame(rows, columns=["bin", "predicted", "observed", "ci_low", "ci_high", "n"])
