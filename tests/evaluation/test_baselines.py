import numpy as np
import pandas as pd
import pytest
from nilearn.connectome import ConnectivityMeasure, sym_matrix_to_vec

from fmrifm.config import SplitConfig
from fmrifm.data.store import Store
from fmrifm.evaluation.baselines import baseline_models, baseline_predictions, connectomes
from fmrifm.evaluation.metrics import by_subject, classification_scores
from fmrifm.evaluation.splits import Fold, labelled_scans, make_folds

REGIONS = (3, 41, 95, 128, 170, 255)
EDGES = 15


@pytest.fixture
def scans() -> pd.DataFrame:
    """Sixty subjects, 40 % cases; the site tells the label, the phenotype is noise with holes, one region does too."""
    rng = np.random.default_rng(0)
    label = (np.arange(60) % 5 < 2).astype(int)
    return pd.DataFrame(
        {
            "scan": [f"s{number:02d}_1" for number in range(60)],
            "subject": [f"s{number:02d}" for number in range(60)],
            "site": np.where(label == 1, "north", "south"),
            "label": label,
            "age": np.where(np.arange(60) % 7 == 0, np.nan, rng.normal(12, 2, 60)),
            "iq": np.nan,
            "sex": [None if number % 11 == 0 else "FM"[number % 2] for number in range(60)],
        }
    )


@pytest.fixture
def connectome(scans: pd.DataFrame) -> np.ndarray:
    """Ten edges of noise; the first is higher in cases."""
    features = np.random.default_rng(1).normal(size=(60, 10))
    features[:, 0] += 3 * scans["label"]
    return features.astype(np.float32)


def score(table: pd.DataFrame) -> dict[str, float]:
    scores = classification_scores(by_subject(table), 10, np.random.default_rng(0))
    return {name: score.value for name, score in scores.items()}


def predictions(scans: pd.DataFrame, connectome: np.ndarray) -> dict[str, pd.DataFrame]:
    return baseline_predictions(scans, connectome, make_folds(scans, SplitConfig()), penalty=1.0)


def test_the_connectome_holds_fisher_z_of_plain_correlations_between_region_means(store: Store) -> None:
    labels = store.atlas.labels
    found = connectomes(store, store.scans["scan"][:1], labels)
    run = store.window("s00_1").astype(float)
    means = np.stack([run[:, labels == value].mean(axis=1) for value in REGIONS])
    expected = np.arctanh(sym_matrix_to_vec(np.corrcoef(means), discard_diagonal=True))
    assert found.shape == (1, EDGES)
    assert found[0] == pytest.approx(expected, abs=1e-4)


def test_the_connectome_is_not_shrunk_as_that_of_nilearn_is_by_default(store: Store) -> None:
    labels = store.atlas.labels
    ours = np.tanh(connectomes(store, pd.Series(["s03_1"]), labels))
    means = np.stack([store.window("s03_1")[:, labels == value].mean(axis=1) for value in REGIONS], axis=1)
    shrunk = ConnectivityMeasure(kind="correlation", vectorize=True, discard_diagonal=True).fit_transform([means])
    shrinkage = np.linalg.norm(shrunk) / np.linalg.norm(ours)
    assert shrunk == pytest.approx(shrinkage * ours, abs=1e-4)
    assert 0.1 < shrinkage < 0.95


def test_a_region_without_signal_has_edges_of_zero_and_the_others_keep_theirs(store: Store) -> None:
    labels = store.atlas.labels
    without_255 = connectomes(store, pd.Series(["s01_1"]), labels)[0]
    touches_255 = sym_matrix_to_vec(np.add.outer(np.array(REGIONS) == 255, np.array(REGIONS) == 255) * 1.0, True) > 0
    assert touches_255.sum() == 5
    assert (without_255[touches_255] == 0).all()
    assert without_255[~touches_255] == pytest.approx(
        connectomes(store, pd.Series(["s01_1"]), np.where(labels == 255, 0, labels))[0], abs=1e-6
    )


def test_two_regions_with_the_same_signal_stay_finite(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    window = store.window("s00_1")
    monkeypatch.setattr(store, "window", lambda key: np.repeat(window[:, :1], window.shape[1], axis=1))
    assert np.tanh(connectomes(store, pd.Series(["s00_1"]), store.atlas.labels)) == pytest.approx(0.999)


def test_the_majority_scores_one_half(scans: pd.DataFrame, connectome: np.ndarray) -> None:
    scores = score(predictions(scans, connectome)["majority"])
    expected = {"balanced_accuracy": 0.5, "auc": 0.5, "sensitivity": 0.0, "specificity": 1.0}
    assert {name: scores[name] for name in expected} == expected


def test_the_majority_scores_one_half_even_where_training_majorities_differ(
    scans: pd.DataFrame, connectome: np.ndarray
) -> None:
    uneven = pd.concat([scans[scans["label"] == 0][:13], scans[scans["label"] == 1][:13]])
    scores = score(predictions(uneven, connectome[uneven.index])["majority"])
    assert (scores["balanced_accuracy"], scores["auc"]) == (0.5, 0.5)


def test_a_label_that_is_the_site_is_predicted_by_the_site(scans: pd.DataFrame, connectome: np.ndarray) -> None:
    found = {name: score(table)["auc"] for name, table in predictions(scans, connectome).items()}
    assert found["site"] == 1.0
    assert found["connectome"] > 0.9
    assert found["phenotype"] < 0.75


def test_a_site_that_was_never_seen_tells_nothing(scans: pd.DataFrame, connectome: np.ndarray) -> None:
    scans = scans.assign(site=np.array(["north", "south", "east"])[np.arange(60) % 3])
    tables = baseline_predictions(scans, connectome, make_folds(scans, SplitConfig(splits="site")), 1.0)
    assert score(tables["site"])["auc"] == 0.5
    assert tables["site"].groupby("fold")["probability"].nunique().eq(1).all()


def test_every_scan_is_predicted_once_by_every_baseline(scans: pd.DataFrame, connectome: np.ndarray) -> None:
    tables = predictions(scans, connectome)
    assert sorted(tables) == ["connectome", "majority", "phenotype", "site"]
    for table in tables.values():
        assert sorted(table["scan"]) == scans["scan"].tolist()
        assert list(table.columns) == ["scan", "subject", "site", "label", "fold", "probability"]


def test_what_a_test_subject_holds_does_not_reach_the_model(scans: pd.DataFrame, connectome: np.ndarray) -> None:
    everyone = scans["subject"].tolist()
    fold = [Fold(train=tuple(everyone[2:]), test=tuple(everyone[:2]))]
    before = baseline_predictions(scans, connectome, fold, 1.0)
    scans.loc[0, ["age", "label"]] = (1e6, 0)
    connectome[0] = 1e6
    after = baseline_predictions(scans, connectome, fold, 1.0)
    for name, table in before.items():
        assert table["probability"][1] == after[name]["probability"][1]


def test_there_is_no_phenotype_baseline_without_phenotype(scans: pd.DataFrame) -> None:
    assert sorted(baseline_models(scans[["site", "label", "iq"]], EDGES, 1.0)) == ["connectome", "majority", "site"]


def test_a_phenotype_that_the_training_sites_did_not_measure_is_no_obstacle(
    scans: pd.DataFrame, connectome: np.ndarray
) -> None:
    half = np.arange(60) % 2 == 0
    scans = scans.assign(site=np.where(half, "north", "south"), age=np.where(half, 10.0, np.nan))[
        ["scan", "subject", "site", "label", "age"]
    ]
    tables = baseline_predictions(scans, connectome, make_folds(scans, SplitConfig(splits="site")), 1.0)
    assert tables["phenotype"]["probability"].notna().all()


def test_handedness_in_words_is_a_category(scans: pd.DataFrame, connectome: np.ndarray) -> None:
    scans["handedness"] = np.where(scans["label"] == 1, "left", "right")
    assert score(predictions(scans, connectome)["phenotype"])["auc"] > 0.95


def test_the_planted_connectivity_of_a_store_is_found(store: Store) -> None:
    scans = labelled_scans(store.scans, "dx").reset_index(drop=True)
    features = connectomes(store, scans["scan"], store.atlas.labels)
    folds = make_folds(scans, SplitConfig(folds=3))
    assert score(baseline_predictions(scans, features, folds, 1.0)["connectome"])["auc"] > 0.9
