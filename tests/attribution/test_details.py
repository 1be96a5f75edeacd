import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from fmrifm.attribution.details import DETAIL_COLUMNS, homologues, region_details
from fmrifm.attribution.regions import region_table

NAMES = ["Hippocampus_R", "Raphe_D", "Insula_L", "Hippocampus_L", "Lonely_R"]


@pytest.fixture
def regions() -> pd.DataFrame:
    """Five regions, two of them homologues, out of order; an index that is not a position."""
    return pd.DataFrame(
        {
            "index": [42, 169, 33, 41, 8], "name": NAMES, "n_voxels": [10, 2, 30, 12, 5],
            "system": ["Limbic", "Brainstem", "Insula", "Limbic", "Frontal"],
        },
        index=[7, 3, 9, 1, 2],
    )  # fmt: skip


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def details(regions: pd.DataFrame, totals: np.ndarray, **changed: object) -> pd.DataFrame:
    """Details of totals, by name; means are totals by voxel."""
    S = len(totals)
    settings = {
        "totals_SR": totals, "means_SR": totals / regions["n_voxels"].to_numpy(), "coverage_SR": np.ones(totals.shape),
        "method": "occlusion", "label": np.arange(S) % 2, "site": None, "halves": True, "resamples": 200,
        "permutations": 499, "rng": rng(),
    }  # fmt: skip
    return region_details(regions, **(settings | changed)).set_index("name", drop=False)


def planted(S: int = 40) -> np.ndarray:
    """Totals (S, 5): the left hippocampus gives label 1 (odd subjects) 4 more."""
    totals = np.random.default_rng(0).normal(size=(S, 5))
    totals[1::2, 3] += 4
    return totals


def test_the_hand_computed_table(regions: pd.DataFrame) -> None:
    totals = np.array([[10.0, 1, 3, 24, 5], [30, 3, 3, 48, 0], [20, 3, 6, 12, 10], [40, 1, 0, 72, 5]])
    table = details(regions, totals, site=["a", "a", "b", "b"])
    assert table.columns.tolist() == DETAIL_COLUMNS
    assert table["index"].tolist() == [42, 169, 33, 41, 8]
    assert table["label_0"].tolist() == [15, 2, 4.5, 18, 7.5]
    assert table["label_1"].tolist() == [35, 2, 1.5, 60, 2.5]
    assert table["difference"].tolist() == [20, 0, -3, 42, -5]
    assert table["total"].tolist() == [10, 0, -1.5, 21, -2.5]
    assert table["mean"].tolist() == pytest.approx([1, 0, -0.05, 1.75, -0.5])
    assert table["rank_total"].tolist() == [2, 3, 4, 1, 5]
    assert table["rank_mean"].tolist() == [2, 3, 4, 1, 5]
    assert table["asymmetry"].tolist() == pytest.approx([-0.75, np.nan, np.nan, 0.75, np.nan], nan_ok=True)
    assert table["correlation"].isna().all()
    # Within two sites of two there are four labellings: of the insula -3, 3, -3, 3.
    assert table.loc["Insula_L", "p"] == 1


def test_a_mean_over_everyone_with_differences_of_the_labelled(regions: pd.DataFrame) -> None:
    totals = np.arange(30.0).reshape(6, 5) ** 2
    label = np.array([1, None, 0, np.nan, 1, 2], object)
    table = details(regions, totals, label=label, halves=False)
    assert table["total"].tolist() == pytest.approx(totals.mean(axis=0).tolist())
    assert table["mean"].tolist() == pytest.approx((totals.mean(axis=0) / regions["n_voxels"].to_numpy()).tolist())
    assert table["label_1"].tolist() == pytest.approx(totals[[0, 4]].mean(axis=0).tolist())
    assert table["label_0"].tolist() == totals[2].tolist()
    assert table["difference"].tolist() == pytest.approx((totals[[0, 4]].mean(axis=0) - totals[2]).tolist())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("label", [None, np.full(6, np.nan), np.ones(6), pd.array([0, None] * 3, "Int64")])
def test_without_both_labels_there_is_a_mean_and_no_difference(regions: pd.DataFrame, label: object) -> None:
    table = details(regions, planted(6), label=label, halves=False)
    assert table[["total", "total_low", "mean", "rank_total"]].notna().all(axis=None)
    assert table[["difference", "difference_low", "difference_high", "p", "p_fdr"]].isna().all(axis=None)
    halved = details(regions, planted(6), label=label)
    assert halved[["total", "mean_low", "rank_mean", "asymmetry"]].isna().all(axis=None)


def test_the_planted_region_is_first_and_the_only_one_that_differs(regions: pd.DataFrame) -> None:
    table = details(regions, planted())
    assert table.loc["Hippocampus_L", ["rank_total", "p"]].tolist() == [1, 1 / 500]
    assert table.loc["Hippocampus_L", "difference_low"] > 2
    assert (table["p_fdr"] < 0.05).tolist() == [False, False, False, True, False]
    assert table["p_fdr"].tolist() == false_discovery_control(table["p"]).tolist()
    assert table.loc["Hippocampus_L", "asymmetry_low"] > 0


def test_all_figures_come_from_the_same_draws(regions: pd.DataFrame) -> None:
    table = details(regions, planted())
    for end in ("", "_low", "_high"):
        assert table[f"difference{end}"].tolist() == pytest.approx((2 * table[f"total{end}"]).tolist())
        assert table[f"mean{end}"].tolist() == pytest.approx((table[f"total{end}"] / table["n_voxels"]).tolist())
    left, right = table.loc["Hippocampus_L"], table.loc["Hippocampus_R"]
    assert right["asymmetry"] == -left["asymmetry"]
    assert right["asymmetry_low"] == pytest.approx(-left["asymmetry_high"])
    assert right["asymmetry_high"] == pytest.approx(-left["asymmetry_low"])


@pytest.mark.parametrize("halves", [True, False])
def test_totals_and_their_intervals_are_those_of_regions_tsv(regions: pd.DataFrame, halves: bool) -> None:
    totals, coverage = planted(), np.ones((40, 5))
    coverage[:9, 2] = 0.4
    label = np.arange(40) % 2
    table = details(regions, totals, coverage_SR=coverage, halves=halves)
    other = region_table(regions, totals, coverage, "occlusion", label if halves else None, 200, rng())
    assert table["total"].tolist() == other["importance"].tolist()
    assert table["total_low"].tolist() == other["ci_low"].tolist()
    assert table["total_high"].tolist() == other["ci_high"].tolist()
    assert table["rank_total"].tolist() == other["rank"].tolist()


def test_a_region_counts_for_who_covers_it(regions: pd.DataFrame) -> None:
    totals, coverage = planted(), np.ones((40, 5))
    coverage[:10, 0], coverage[10:20, 0], coverage[:, 4] = 0.2, 0.5, 0.1
    table = details(regions, totals, coverage_SR=coverage, halves=False)
    assert table.loc["Hippocampus_R", "total"] == pytest.approx(totals[10:, 0].mean())
    lost = table.loc["Lonely_R", ["total", "mean", "rank_total", "rank_mean", "label_0", "difference", "p", "p_fdr"]]
    assert lost.isna().all()
    assert sorted(table["rank_total"].dropna()) == [1, 2, 3, 4]


def test_fidelity_has_no_total_and_is_compared_by_its_mean(regions: pd.DataFrame) -> None:
    means, r = planted(), np.array([0.1, 0.2, np.nan, 0.4, 0.5])
    table = details(regions, means, totals_SR=None, means_SR=means, method="fidelity", halves=False, correlation_R=r)
    assert table[["total", "total_low", "total_high", "rank_total"]].isna().all(axis=None)
    assert table["mean"].tolist() == pytest.approx(means.mean(axis=0).tolist())
    assert table["label_1"].tolist() == pytest.approx(means[1::2].mean(axis=0).tolist())
    assert table.loc["Hippocampus_L", "p"] == 1 / 500
    assert table["correlation"].tolist() == pytest.approx(r.tolist(), nan_ok=True)


def test_a_level_of_a_site_is_no_difference_between_labels(regions: pd.DataFrame) -> None:
    """Cases come from the site that scores high: without the site all regions differ, within it the planted one."""
    site = np.repeat(["high", "low"], 30)
    label = np.r_[np.arange(30) % 6 < 5, np.arange(30) % 6 < 1].astype(int)
    totals = np.random.default_rng(2).normal(size=(60, 5)) + 6 * (site == "high")[:, None]
    totals[label == 1, 3] += 3
    assert (details(regions, totals, label=label)["p"] < 0.01).all()
    assert (details(regions, totals, label=label, site=site)["p"] < 0.01).tolist() == [False, False, False, True, False]


def test_the_table_survives_a_tsv(regions: pd.DataFrame, tmp_path) -> None:
    coverage = np.ones((40, 5))
    coverage[:, 1] = 0
    table = details(regions, planted(), coverage_SR=coverage).reset_index(drop=True)
    table.to_csv(tmp_path / "details.tsv", sep="\t", index=False)
    read = pd.read_csv(tmp_path / "details.tsv", sep="\t")
    pd.testing.assert_frame_equal(read, table, check_dtype=False)


def test_homologues_are_each_other_s(regions: pd.DataFrame) -> None:
    other = homologues(["A_L", "B_R", "A_R", "Vermis", "C_L", "B_L", "_R", "x"])
    assert other.tolist() == [2, 5, 0, -1, -1, 1, -1, -1]


def test_a_study_takes_seconds_and_little_memory() -> None:
    S, R = 105, 166
    regions = pd.DataFrame({"index": np.arange(R), "name": [f"r{n}" for n in range(R)], "system": "s", "n_voxels": 9})
    totals = rng().normal(size=(S, R))
    tracemalloc.start()
    start = time.perf_counter()
    details(regions, totals, resamples=1000, permutations=10_000, site=rng().choice(list("abcde"), S))
    seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 10
    assert peak < 500e6
