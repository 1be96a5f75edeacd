import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, kstest, permutation_test

from fmrifm.attribution.details import DETAIL_COLUMNS, label_differences, region_details

REGIONS = pd.DataFrame(
    {
        "index": [3, 41, 95, 128, 170], "name": ["A_L", "A_R", "B_L", "Vermis", "C_R"],
        "system": list("xxyyz"), "n_voxels": [10, 20, 30, 60, 5],
    }
)  # fmt: skip


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def people(subjects: int) -> pd.DataFrame:
    number = np.arange(subjects)
    return pd.DataFrame({"subject": number.astype(str), "site": np.where(number < 15, "n", "s"), "label": number % 2})


def planted(subjects: int = 40) -> tuple[np.ndarray, pd.DataFrame]:
    """Scores (U, 5); region 2 is 2 higher in cases; region 0 is 1 higher than region 1."""
    table = people(subjects)
    scores = np.random.default_rng(0).normal(size=(subjects, 5))
    scores[:, 2] += 2.0 * table["label"]
    scores[:, 0] = scores[:, 1] + 1
    return scores, table


def details(scores: np.ndarray, subjects: pd.DataFrame, **changes) -> pd.DataFrame:
    settings = {"total": scores * REGIONS["n_voxels"].to_numpy(), "mean": scores, "subjects": subjects}
    settings |= {"of_label": True, "method": "occlusion", "correlation": None, "resamples": 200, "permutations": 200}
    return region_details(REGIONS, **{**settings, **changes}, rng=rng())


def test_the_planted_difference_is_found_with_its_size_and_only_there() -> None:
    table = details(*planted()).set_index("index")
    assert table.loc[95, "difference"] == pytest.approx(2 * 30, rel=0.4)
    assert table.loc[95, "difference_low"] > 0
    assert table.loc[95, "p"] == 1 / 201
    assert (table["p_fdr"].drop(95) > 0.05).all()
    assert table.loc[95, "total"] == pytest.approx(table.loc[95, "difference"] / 2)
    assert table.loc[95, "difference"] == pytest.approx(table.loc[95, "label_1"] - table.loc[95, "label_0"])


def test_totals_and_per_voxel_scores_have_ranks_of_their_own() -> None:
    scores = np.ones((6, 5)) * [1.0, 2.0, 3.0, 4.0, 50.0]
    table = details(scores, people(6), of_label=False)
    assert list(table) == DETAIL_COLUMNS
    assert table["total"].tolist() == [10, 40, 90, 240, 250]
    assert table["rank_total"].tolist() == [5, 4, 3, 2, 1]
    assert table["mean"].tolist() == [1, 2, 3, 4, 50]
    assert table["rank_mean"].tolist() == [5, 4, 3, 2, 1]


def test_asymmetry_is_left_minus_right_by_subject_and_flips_its_sign_on_the_right() -> None:
    scores, subjects = planted()
    table = details(scores, subjects, of_label=False).set_index("name")
    assert table.loc[["A_L", "A_R"], "asymmetry"].tolist() == pytest.approx([1, -1])
    assert table.loc["A_L", ["asymmetry_low", "asymmetry_high"]].tolist() == pytest.approx([1, 1])
    assert table.loc[["B_L", "Vermis", "C_R"], "asymmetry"].isna().all()


def test_fidelity_has_no_total_and_a_correlation() -> None:
    scores, subjects = planted()
    table = details(scores, subjects, total=None, of_label=False, correlation=scores / 10)
    assert table[["total", "total_low", "rank_total"]].isna().all(axis=None)
    assert table["correlation"].tolist() == pytest.approx((scores / 10).mean(axis=0).tolist())
    assert table["difference"][2] == pytest.approx(2, abs=0.8)


def test_subjects_without_a_label_count_for_means_alone() -> None:
    scores, subjects = planted()
    subjects.loc[subjects.index[:4], "label"] = np.nan
    table = details(scores, subjects, of_label=False)
    assert table["mean"].tolist() == pytest.approx(scores.mean(axis=0).tolist())
    case = subjects["label"][4:].to_numpy() == 1
    assert table["label_1"][2] == pytest.approx(30 * scores[4:][case, 2].mean())
    unlabelled = details(scores, subjects.drop(columns="label"), of_label=False)
    assert unlabelled[["label_0", "difference", "p"]].isna().all(axis=None)


def test_p_is_that_of_scipy_s_permutation_test_at_one_site() -> None:
    scores, case = np.random.default_rng(3).normal(size=(9, 1)), np.arange(9) < 4
    scores[case] += 0.8
    ours = label_differences(scores, case, pd.Series(["a"] * 9), 10, 20_000, rng())["p"][0]
    groups = scores[case, 0], scores[~case, 0]
    exact = permutation_test(
        groups, lambda x, y, axis: x.mean(axis) - y.mean(axis), n_resamples=np.inf, vectorized=True
    )
    both = 2 * min(exact.pvalue / 2, 0.5)
    assert ours == pytest.approx(both, abs=0.03)


def test_without_a_difference_p_is_uniform_and_its_correction_is_scipy_s() -> None:
    scores = np.random.default_rng(4).normal(size=(30, 300))
    subjects = people(30)
    scores += 5.0 * (subjects["site"] == "s").to_numpy()[:, None]  # a site's level is no difference
    found = label_differences(scores, subjects["label"].to_numpy() == 1, subjects["site"], 10, 999, rng())
    assert kstest(found["p"], "uniform").pvalue > 0.01
    assert found["p_fdr"].to_numpy() == pytest.approx(false_discovery_control(found["p"]))


def test_a_region_that_no_case_covers_has_no_difference() -> None:
    scores, subjects = planted()
    scores[subjects["label"] == 1, 3] = np.nan
    scores[0, 0] = np.nan
    found = label_differences(scores, subjects["label"].to_numpy() == 1, subjects["site"], 50, 50, rng())
    assert found.loc[3, ["difference", "difference_low", "p", "p_fdr"]].isna().all()
    assert found.loc[[0, 1, 2, 4], "p_fdr"].notna().all()
