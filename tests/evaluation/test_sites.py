import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler

from fmrifm.config import Harmonisation, SplitConfig
from fmrifm.evaluation.metrics import Score
from fmrifm.evaluation.readout import fixed_features
from fmrifm.evaluation.sites import predicted_sites, site_table
from fmrifm.evaluation.splits import Fold, make_folds

SITES = np.array(["north", "north", "south", "west"])


@pytest.fixture
def scans() -> pd.DataFrame:
    """Eighty subjects, forty of them at the first of three sites; one has two scans."""
    number = np.append(np.arange(80), 3)
    return pd.DataFrame({"subject": [f"s{n:02d}" for n in number], "site": SITES[number % 4], "label": number // 4 % 2})


def embedding(scans: pd.DataFrame, distance: float) -> np.ndarray:
    """Nine features; the mean of each site lies so many deviations from those of the others."""
    rng = np.random.default_rng(0)
    place = dict(zip(("north", "south", "west"), np.eye(3, 9), strict=True))
    return rng.normal(size=(len(scans), 9)) + distance * np.stack([place[site] for site in scans["site"]])


def accuracy(table: pd.DataFrame | None) -> float:
    assert table is not None
    return float(balanced_accuracy_score(table["site"], table["predicted"]))


def test_features_that_hold_the_site_tell_it_and_others_stay_at_chance(scans: pd.DataFrame) -> None:
    folds = make_folds(scans, SplitConfig())
    assert accuracy(predicted_sites(fixed_features(embedding(scans, 6), scans["site"]), scans, folds)) > 0.95
    assert accuracy(predicted_sites(fixed_features(embedding(scans, 0), scans["site"]), scans, folds)) == pytest.approx(
        1 / 3, abs=0.12
    )


@pytest.mark.parametrize("harmonise", ["combat", "site_zscore"])
def test_harmonised_features_do_not_hold_the_site(scans: pd.DataFrame, harmonise: Harmonisation) -> None:
    folds = make_folds(scans, SplitConfig())
    table = predicted_sites(fixed_features(embedding(scans, 6), scans["site"], harmonise), scans, folds)
    assert accuracy(table) < 0.45


def test_every_subject_is_predicted_once_by_a_ridge_on_the_others(scans: pd.DataFrame) -> None:
    features, folds = embedding(scans, 2), make_folds(scans, SplitConfig(folds=4))
    table = predicted_sites(fixed_features(features, scans["site"]), scans, folds)
    assert table is not None
    assert sorted(table["subject"]) == sorted(scans["subject"].unique())
    train = scans["subject"].isin(folds[1].train).to_numpy()
    scaler = StandardScaler().fit(features[train])
    ridge = RidgeClassifier(alpha=9, class_weight="balanced").fit(
        scaler.transform(features[train]), scans["site"][train]
    )
    own = table[(table["fold"] == 1) & (table["subject"] != "s03")].set_index("subject")["predicted"]
    rows = scans.reset_index().set_index("subject").loc[own.index, "index"]
    assert own.tolist() == ridge.predict(scaler.transform(features[rows])).tolist()


def test_a_subject_with_two_scans_counts_once_by_their_mean(scans: pd.DataFrame) -> None:
    features = embedding(scans, 6)
    features[80] = 0
    features[80, 1] = 12  # the second scan of a western subject looks southern, and outweighs the first
    folds = [Fold(train=tuple(s for s in scans["subject"].unique() if s != "s03"), test=("s03",))]
    table = predicted_sites(fixed_features(features, scans["site"]), scans, folds)
    assert table is not None
    assert table[["subject", "site", "predicted"]].to_numpy().tolist() == [["s03", "west", "south"]]


def test_two_sites_are_told_apart_and_those_of_test_subjects_have_no_influence(scans: pd.DataFrame) -> None:
    two = scans[scans["site"] != "west"].reset_index(drop=True)
    features, folds = embedding(two, 6), make_folds(two, SplitConfig())
    table = predicted_sites(fixed_features(features, two["site"]), two, folds)
    assert accuracy(table) > 0.95
    first = two.assign(site=two["site"].where(~two["subject"].isin(folds[0].test), "north"))
    again = predicted_sites(fixed_features(features, first["site"]), first, folds[:1])
    assert table is not None
    assert again is not None
    assert again["predicted"].tolist() == table.loc[table["fold"] == 0, "predicted"].tolist()


def test_nothing_is_predicted_where_no_training_scan_knows_the_site(scans: pd.DataFrame) -> None:
    features = embedding(scans, 6)
    of_fold = fixed_features(features, scans["site"])
    assert predicted_sites(of_fold, scans, make_folds(scans, SplitConfig(splits="site"))) is None
    assert predicted_sites(of_fold, scans.assign(site="north"), make_folds(scans, SplitConfig())) is None
    assert predicted_sites(of_fold, scans.assign(site=None), make_folds(scans, SplitConfig())) is None


def test_the_subject_of_a_site_that_only_it_comes_from_is_left_out(scans: pd.DataFrame) -> None:
    lone = scans.assign(site=scans["site"].where(scans["subject"] != "s05", "moon"))
    table = predicted_sites(fixed_features(embedding(scans, 6), lone["site"]), lone, make_folds(scans, SplitConfig()))
    assert table is not None
    assert sorted({*scans["subject"]} - {*table["subject"]}) == ["s05"]


def test_the_table_of_sites_counts_subjects_and_scores_each_site() -> None:
    subjects = pd.DataFrame(
        {
            "subject": ["a", "b", "c", "a", "b", "c", "d"],
            "site": ["y", "y", "y", "y", "y", "y", "x"],
            "label": [0, 1, 2, 0, 1, 2, 0],
            "repeat": [0, 0, 0, 1, 1, 1, 0],
        }
    )
    table = site_table(subjects, lambda rows: Score(len(rows) / 10, 0.1, 0.9, rows["subject"].nunique()))
    assert table.columns.tolist() == ["site", "n", "cases", "prevalence", "auc", "ci_low", "ci_high"]
    assert table.to_numpy().tolist() == [
        ["x", 1, 0, 0.0, 0.1, 0.1, 0.9],
        ["y", 3, 2, pytest.approx(2 / 3), 0.6, 0.1, 0.9],
    ]
