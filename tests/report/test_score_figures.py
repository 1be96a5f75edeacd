import numpy as np
import pandas as pd

from fmrifm.report.score_figures import calibration, forest, paired, roc, side_by_side
from fmrifm.report.scores import Difference, Score


def bins(shift: float) -> pd.DataFrame:
    predicted = np.array([0.2, 0.6])
    observed = predicted + shift
    return pd.DataFrame(
        {"predicted": predicted, "observed": observed, "ci_low": observed - 0.1, "ci_high": observed + 0.1, "n": 9}
    )


def test_a_forest_writes_every_model_with_its_interval():
    drawn = forest("auc", {"this classifier": Score(0.7, 0.6, 0.8), "site": Score(0.5)}, chance=0.5)
    assert "this classifier 0.70 (0.60 to 0.80); site only 0.50" in drawn.svg
    assert drawn.caption == "AUC with 95 % intervals. Dotted: chance, 0.50."
    assert "Dotted" not in forest("average_precision", {"this classifier": Score(0.7)}, chance=None).caption


def test_long_names_of_models_stand_in_two_lines_and_whole_in_its_words():
    drawn = forest("auc", {"this classifier": Score(0.7), "untrained": Score(0.6)}, chance=None)
    assert ">encoder at random<" in drawn.svg
    assert ">initialisation<" in drawn.svg
    assert "encoder at random initialisation 0.60" in drawn.svg


def test_differences_are_written_with_their_sign_and_reference():
    both = {
        "tube": Difference(value=0.01, ci_low=-0.04, ci_high=0.06),
        "region": Difference(value=-0.09, ci_low=-0.14, ci_high=-0.04),
    }
    drawn = paired("r2_voxel_random", both, "random")
    assert "tube +0.010 (−0.040 to 0.060); region −0.090 (−0.140 to −0.040)" in drawn.svg
    assert ">+0.010<" in drawn.svg
    assert "R² of voxels under random masks: difference from random" in drawn.caption


def test_a_difference_without_an_interval_is_drawn_hollow_all_the_same():
    one = {"tube": Difference(value=np.nan, ci_low=np.nan, ci_high=np.nan)}
    assert "tube –" in paired("auc", one, "random").svg


def test_reconstruction_and_classification_share_rows_and_what_is_missing_is_left_out():
    scores = {"random": {"r2_voxel_random": Score(0.3), "auc": Score(0.6)}, "connectome": {"auc": Score(0.7)}}
    drawn = side_by_side(scores, [["r2_voxel_random"], ["auc"]])
    assert "random: R² of voxels under random masks 0.30, AUC 0.60; connectome, correlation: AUC 0.70" in drawn.svg
    assert drawn.svg.count(">random<") == 1


def test_the_roc_curve_of_perfect_predictions_goes_through_the_corner():
    drawn = roc([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], Score(1.0, 0.9, 1.0), subjects=4)
    assert "4 held-out subjects, each ranked within its fold. AUC 1.00 (0.90 to 1.00)." in drawn.caption


def test_calibration_says_how_often_what_was_predicted_came_true():
    drawn = calibration({"this classifier": bins(0.1), "connectome_partial": bins(-0.1)})
    assert "this classifier: 0.20 came true 0.30, 0.60 came true 0.70" in drawn.svg
    assert "connectome, partial correlation: 0.20 came true 0.10" in drawn.svg
