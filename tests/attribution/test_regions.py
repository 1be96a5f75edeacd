import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp, ttest_ind

from fmrifm.attribution.regions import REGION_COLUMNS, SYSTEM_COLUMNS, importance, region_table, system_table

PLANTED = 2


@pytest.fixture
def regions() -> pd.DataFrame:
    """Five regions of three systems, values out of step with their positions."""
    return pd.DataFrame(
        {
            "index": [1, 41, 95, 128, 170], "name": list("ABCDE"),
            "system": ["Limbic", "Frontal", "Limbic", "Frontal", "Cerebellum"], "n_voxels": [10, 20, 30, 60, 5],
        }
    )  # fmt: skip


def planted_scores(subjects: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Scores (S, 5) and labels; region 2 speaks for label 1 in cases and for label 0 in controls."""
    rng = np.random.default_rng(0)
    label = np.arange(subjects) % 2
    scores = rng.normal(size=(subjects, 5))
    scores[:, PLANTED] += 2.0 * (2 * label - 1)
    return scores, label


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def table_of(regions: pd.DataFrame, coverage: np.ndarray | None = None) -> pd.DataFrame:
    scores, label = planted_scores()
    coverage = np.ones(scores.shape) if coverage is None else coverage
    return region_table(regions, scores, coverage, "occlusion", label, 200, rng())


def test_the_planted_region_ranks_first_and_its_interval_leaves_zero(regions: pd.DataFrame) -> None:
    table = table_of(regions)
    assert table.columns.tolist() == REGION_COLUMNS
    first = table.set_index("rank").loc[1]
    assert (first["index"], first["name"], first["method"], first["n_voxels"]) == (95, "C", "occlusion", 30)
    assert first["ci_low"] > 1
    assert first["p_fdr"] < 1e-6
    assert sorted(table["rank"]) == [1, 2, 3, 4, 5]
    others = table[table["index"] != 95]
    assert (others["ci_low"] < 0.5).all()
    assert (others["p_fdr"] > 0.05).all()


def test_a_mean_is_the_mean_and_a_difference_is_halved() -> None:
    scores = np.array([[1.0, 5.0], [3.0, 7.0], [4.0, 0.0], [8.0, 2.0]])
    label = np.array([1, 1, 0, 0])
    assert importance(scores, None, 10, rng())["importance"].tolist() == [4.0, 3.5]
    assert importance(scores, label, 10, rng())["importance"].tolist() == [-2.0, 2.5]
    assert importance(scores, label, 10, rng())["rank"].tolist() == [2, 1]


def test_the_interval_of_a_mean_is_its_standard_error() -> None:
    scores = np.random.default_rng(0).normal(size=(400, 1))
    table = importance(scores, None, 4000, rng()).iloc[0]
    half = 1.96 * scores.std() / 20
    assert table["ci_low"] == pytest.approx(scores.mean() - half, abs=0.01)
    assert table["ci_high"] == pytest.approx(scores.mean() + half, abs=0.01)


def test_resamples_stay_inside_each_label() -> None:
    """Without spread inside the labels there is none in the interval, whatever the draws."""
    label = np.array([1, 1, 1, 0])
    table = importance(np.where(label == 1, 6.0, 2.0)[:, None], label, 50, rng()).iloc[0]
    assert (table["importance"], table["ci_low"], table["ci_high"]) == (2.0, 2.0, 2.0)


def test_tests_are_one_sided_and_corrected_as_by_hand() -> None:
    scores, label = planted_scores()
    for groups, labels in (((scores,), None), ((scores[label == 1], scores[label == 0]), label)):
        if labels is None:
            p = ttest_1samp(groups[0], 0, alternative="greater").pvalue
        else:
            p = ttest_ind(*groups, equal_var=False, alternative="greater").pvalue
        order = np.argsort(p)
        adjusted = np.minimum.accumulate((p[order] * 5 / np.arange(1, 6))[::-1])[::-1].clip(max=1)
        found = importance(scores, labels, 10, rng())["p_fdr"].to_numpy()
        assert found[order] == pytest.approx(adjusted)
        assert (np.diff(found[order]) >= 0).all()
        assert (found >= p).all()


def test_a_region_that_is_hardly_covered_has_no_figure_and_no_rank(regions: pd.DataFrame) -> None:
    coverage = np.ones((40, 5))
    coverage[:, 0] = 0.49
    table = table_of(regions, coverage).set_index("index")
    assert table.loc[1, ["importance", "ci_low", "ci_high", "p_fdr", "rank"]].isna().all()
    assert table.loc[1, "coverage"] == pytest.approx(0.49)
    assert sorted(table["rank"].dropna()) == [1, 2, 3, 4]
    assert table["importance"].drop(1).tolist() == table_of(regions)["importance"][1:].tolist()


def test_a_subject_counts_where_it_is_covered(regions: pd.DataFrame) -> None:
    scores, _ = planted_scores()
    coverage = np.ones(scores.shape)
    coverage[:10, 4], coverage[10:20, 4] = 0.2, 0.5
    table = region_table(regions, scores, coverage, "fidelity", None, 50, rng())
    assert table["importance"][4] == pytest.approx(scores[10:, 4].mean())
    assert table["coverage"][4] == pytest.approx((10 * 0.2 + 10 * 0.5 + 20) / 40)


def test_where_one_subject_of_a_label_counts_there_is_a_figure_without_a_test() -> None:
    scores, label = planted_scores(8)
    scores[label == 1, 0] = np.nan
    scores[1, 0] = 3.0
    table = importance(scores, label, 50, rng())
    assert table["importance"][0] == pytest.approx((3.0 - scores[label == 0, 0].mean()) / 2)
    assert np.isnan(table["p_fdr"][0])
    assert table["p_fdr"][1:].notna().all()


@pytest.mark.filterwarnings("error")
def test_where_only_one_label_was_drawn_nothing_is_claimed() -> None:
    scores, _ = planted_scores(6)
    table = importance(scores, np.zeros(6, np.int64), 20, rng())
    assert table[["importance", "ci_low", "ci_high", "p_fdr", "rank"]].isna().all(axis=None)


@pytest.mark.filterwarnings("error")
def test_uncovered_regions_and_single_subjects_raise_no_warnings() -> None:
    scores, label = planted_scores(8)
    scores[:, 0], scores[1:, 1], scores[:, 3] = np.nan, np.nan, 0.0
    for labels in (None, label):
        table = importance(scores, labels, 50, rng())
        assert np.isnan(table["importance"][0])
        assert np.isnan(table["p_fdr"][3])  # no spread, no test
        assert table["importance"][3] == 0


def test_a_system_is_the_mean_of_its_regions_weighted_by_voxels(regions: pd.DataFrame) -> None:
    scores, label = planted_scores()
    coverage = np.ones(scores.shape)
    coverage[:, 1] = 0.4
    table = system_table(regions, scores, coverage, "occlusion", label, 200, rng())
    assert table.columns.tolist() == SYSTEM_COLUMNS
    assert table["system"].tolist() == ["Cerebellum", "Frontal", "Limbic"]
    assert table["n_voxels"].tolist() == [5, 80, 40]
    region = (scores[label == 1].mean(axis=0) - scores[label == 0].mean(axis=0)) / 2
    limbic = (10 * region[0] + 30 * region[2]) / 40
    assert table["importance"].tolist() == pytest.approx([region[4], region[3], limbic])  # B is hardly covered
    assert table["coverage"].tolist() == pytest.approx([1, (20 * 0.4 + 60) / 80, 1])
    assert table["rank"].tolist()[2] == 1


def test_a_subject_s_system_holds_the_regions_that_the_subject_covers(regions: pd.DataFrame) -> None:
    scores = np.array([[1.0, 0, 2.0, 0, 0], [5.0, 0, 9.0, 0, 0]])
    coverage = np.ones((2, 5))
    coverage[1, 2] = 0.1
    table = system_table(regions, scores, coverage, "fidelity", None, 10, rng()).set_index("system")
    assert table.loc["Limbic", "importance"] == pytest.approx(((10 * 1 + 30 * 2) / 40 + 5) / 2)


def test_a_system_without_a_covered_region_has_no_figure(regions: pd.DataFrame) -> None:
    scores, _ = planted_scores()
    scores[:, 4] = np.nan
    table = system_table(regions, scores, np.ones(scores.shape), "fidelity", None, 10, rng()).set_index("system")
    assert table.loc["Cerebellum", ["importance", "p_fdr", "rank"]].isna().all()
    assert sorted(table["rank"].dropna()) == [1, 2]
