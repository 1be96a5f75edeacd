from math import sqrt

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve

from fmrifm.evaluation.calibration import calibration_table


def predictions(subjects: int = 83) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    probability = rng.beta(2, 3, size=subjects).round(2)  # some are equal
    label = (rng.uniform(size=subjects) < probability).astype(int)
    return pd.DataFrame({"subject": [f"s{n}" for n in range(subjects)], "label": label, "probability": probability})


@pytest.mark.parametrize("bins", [3, 7, 40])
def test_the_points_are_those_of_scikit_learn(bins: int) -> None:
    table = predictions()
    ours = calibration_table(table, bins)
    observed, predicted = calibration_curve(table["label"], table["probability"], n_bins=bins, strategy="quantile")
    assert list(ours) == ["bin", "predicted", "observed", "ci_low", "ci_high", "n"]
    assert ours["predicted"].to_numpy() == pytest.approx(predicted)
    assert ours["observed"].to_numpy() == pytest.approx(observed)
    assert ours["n"].sum() == 83
    assert ours["bin"].tolist() == list(range(len(ours)))


def test_the_interval_is_that_of_wilson() -> None:
    # One case among four: centre (1/4 + z^2 / 8) / (1 + z^2 / 4), half width z sqrt(3/64 + z^2 / 64) / (1 + z^2 / 4).
    table = pd.DataFrame({"subject": list("abcd"), "label": [0, 1, 0, 0], "probability": [0.1, 0.2, 0.3, 0.4]})
    row, z = calibration_table(table, 1).iloc[0], 1.959964
    centre, half = (0.25 + z * z / 8) / (1 + z * z / 4), z * sqrt(3 / 64 + z * z / 64) / (1 + z * z / 4)
    assert (row["predicted"], row["observed"], row["n"]) == (0.25, 0.25, 4)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((centre - half, centre + half), abs=1e-6)


def test_a_subject_counts_once_with_the_mean_of_its_repeats() -> None:
    table = predictions()
    apart = pd.concat([table.assign(probability=table["probability"] + shift) for shift in (-0.1, 0.1)])
    pd.testing.assert_frame_equal(calibration_table(apart, 5), calibration_table(table, 5), rtol=1e-9)


def test_equal_probabilities_share_one_bin() -> None:
    table = calibration_table(predictions().assign(probability=0.4), 5)
    assert table[["bin", "predicted", "n"]].to_numpy().tolist() == [[0, pytest.approx(0.4), 83]]
