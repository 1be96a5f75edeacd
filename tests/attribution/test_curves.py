import numpy as np
import pytest
import torch

from fmrifm.attribution.curves import SHARES, curve_checks, curve_table, heard_regions, log_odds
from fmrifm.model.heads import ScanClassifier

CASE, FOLD = np.arange(40) % 2 == 1, np.zeros(40, np.int64)


def test_leading_regions_are_taken_until_their_voxels_reach_the_share() -> None:
    voxels, order = np.array([50, 30, 15, 5]), np.array([3, 2, 1, 0])
    kept = heard_regions(order, voxels, "insertion")
    assert [SHARES[0], SHARES[2], SHARES[4]] == [0.02, 0.1, 0.4]
    assert kept.tolist() == [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1]]
    assert (heard_regions(order, voxels, "deletion") == 1 - kept).all()


def test_log_odds_are_those_of_the_scan_with_the_others_at_their_mean(shaken: ScanClassifier, scan, store) -> None:
    heard = np.array([[1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1]], np.float32)
    gone = torch.from_numpy(np.isin(store.atlas.labels, (41, 170)))
    with torch.no_grad():
        expected = [shaken(signal, scan[1]).item() for signal in (scan[0], scan[0].masked_fill(gone, 0.0))]
    assert log_odds(shaken, *scan, heard) == pytest.approx(expected, abs=1e-5)


def odds() -> dict:
    """Log-odds that know the label unless the leading regions are silenced; random orders never matter."""
    rng = np.random.default_rng(0)
    knows = CASE[:, None] + 0.01 * rng.normal(size=(40, 5))
    blind = rng.normal(size=(40, 5))
    random = np.repeat(knows[:, None], 3, axis=1)
    return {
        ("occlusion", "deletion"): blind, ("occlusion", "insertion"): knows,
        ("random", "deletion"): random, ("random", "insertion"): np.repeat(blind[:, None], 3, axis=1),
    }  # fmt: skip


def test_a_ranking_that_the_classifier_lives_on_is_better_than_chance_on_both_curves() -> None:
    rows = curve_checks(odds(), CASE, FOLD, 200, np.random.default_rng(0)).set_index("check")
    assert (rows["low"] > 0.2).all()
    assert set(rows.index) == {"deletion", "insertion"}
    table = curve_table(odds(), CASE, FOLD)
    kept = table[(table["method"] == "occlusion") & (table["kind"] == "insertion")]
    assert kept["value"].tolist() == [1.0] * 5
    assert kept["share"].tolist() == list(SHARES)
    assert table.groupby(["method", "order"]).size().to_dict() == {
        ("occlusion", "importance"): 10,
        ("random", "random"): 10,
    }


def test_areas_are_differences_of_the_mean_auc() -> None:
    table, checks = curve_table(odds(), CASE, FOLD), curve_checks(odds(), CASE, FOLD, 10, np.random.default_rng(0))
    means = table.groupby(["method", "kind"])["value"].mean()
    found = checks.set_index("check")["value"]
    assert found["deletion"] == pytest.approx(means["random", "deletion"] - means["occlusion", "deletion"])
    assert found["insertion"] == pytest.approx(means["occlusion", "insertion"] - means["random", "insertion"])
