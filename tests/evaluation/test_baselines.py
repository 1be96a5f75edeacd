from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from nilearn.connectome import ConnectivityMeasure, sym_matrix_to_vec

from fmrifm.config import Harmonisation, ReadoutConfig, SplitConfig
from fmrifm.data.store import Store
from fmrifm.evaluation.baselines import (
    Connectomes,
    connectome_features,
    connectomes,
    tabular_models,
    tabular_predictions,
)
from fmrifm.evaluation.harmonise import fit_harmoniser
from fmrifm.evaluation.labels import labelled_scans
from fmrifm.evaluation.metrics import by_subject, classification_scores
from fmrifm.evaluation.probe import linear_classifier
from fmrifm.evaluation.readout import predict_folds
from fmrifm.evaluation.splits import Fold, make_folds

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
            "n_volumes": 100 + np.arange(60),
            "n_scrubbed": np.arange(60) % 3,
            "n_spikes": rng.integers(0, 9, 60),
        }
    )


@pytest.fixture
def connectome(scans: pd.DataFrame) -> Connectomes:
    """Ten edges of noise and five regions; the first edge is higher, and the first two regions coupled, in cases."""
    rng = np.random.default_rng(1)
    edges = rng.normal(size=(60, 10)).astype(np.float32)
    edges[:, 0] += 3 * scans["label"]
    series = [rng.normal(size=(40, 5)) for _ in range(60)]
    for signal, label in zip(series, scans["label"], strict=True):
        signal[:, 1] += label * signal[:, 0]
    return Connectomes(series, edges, edges.copy())


def score(table: pd.DataFrame) -> dict[str, float]:
    scores = classification_scores(by_subject(table), 10, np.random.default_rng(0))
    return {name: score.value for name, score in scores.items()}


def baseline_predictions(
    scans: pd.DataFrame, connectome: Connectomes, folds: list[Fold], penalty: float, harmonise: Harmonisation = "none"
) -> dict[str, pd.DataFrame]:
    """Every baseline."""
    features = connectome_features(connectome, scans["site"], harmonise)
    config = ReadoutConfig(penalty=(penalty,))
    read = {name: predict_folds(of_fold, scans, folds, config) for name, of_fold in features.items()}
    return {**tabular_predictions(scans, folds), **read}


def predictions(scans: pd.DataFrame, connectome: Connectomes) -> dict[str, pd.DataFrame]:
    return baseline_predictions(scans, connectome, make_folds(scans, SplitConfig()), penalty=1.0)


def test_the_connectome_holds_fisher_z_of_plain_correlations_between_region_means(store: Store) -> None:
    labels = store.atlas.labels
    found = connectomes(store, store.scans["scan"][:1], labels).correlation
    run = store.window("s00_1").astype(float)
    means = np.stack([run[:, labels == value].mean(axis=1) for value in REGIONS])
    expected = np.arctanh(sym_matrix_to_vec(np.corrcoef(means), discard_diagonal=True))
    assert found.shape == (1, EDGES)
    assert found[0] == pytest.approx(expected, abs=1e-4)


def test_the_connectome_is_not_shrunk_as_that_of_nilearn_is_by_default(store: Store) -> None:
    labels = store.atlas.labels
    ours = np.tanh(connectomes(store, pd.Series(["s03_1"]), labels).correlation)
    means = np.stack([store.window("s03_1")[:, labels == value].mean(axis=1) for value in REGIONS], axis=1)
    shrunk = ConnectivityMeasure(kind="correlation", vectorize=True, discard_diagonal=True).fit_transform([means])
    shrinkage = np.linalg.norm(shrunk) / np.linalg.norm(ours)
    assert shrunk == pytest.approx(shrinkage * ours, abs=1e-4)
    assert 0.1 < shrinkage < 0.95


def test_a_region_without_signal_has_edges_of_zero_and_the_others_keep_theirs(store: Store) -> None:
    labels = store.atlas.labels
    without_255 = connectomes(store, pd.Series(["s01_1"]), labels).correlation[0]
    touches_255 = sym_matrix_to_vec(np.add.outer(np.array(REGIONS) == 255, np.array(REGIONS) == 255) * 1.0, True) > 0
    assert touches_255.sum() == 5
    assert (without_255[touches_255] == 0).all()
    assert without_255[~touches_255] == pytest.approx(
        connectomes(store, pd.Series(["s01_1"]), np.where(labels == 255, 0, labels)).correlation[0], abs=1e-6
    )


def test_two_regions_with_the_same_signal_stay_finite(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    window = store.window("s00_1")
    monkeypatch.setattr(store, "window", lambda key: np.repeat(window[:, :1], window.shape[1], axis=1))
    assert np.tanh(connectomes(store, pd.Series(["s00_1"]), store.atlas.labels).correlation) == pytest.approx(0.999)


def test_partial_and_tangent_are_those_of_nilearn_by_default(store: Store) -> None:
    labels, scans = store.atlas.labels, store.scans["scan"][3:9]
    found = connectomes(store, scans, labels)
    runs = [store.window(key).astype(float) for key in scans]
    series = [np.stack([run[:, labels == value].mean(axis=1) for value in REGIONS], axis=1) for run in runs]
    partial = ConnectivityMeasure(
        kind="partial correlation", vectorize=True, discard_diagonal=True, standardize=False
    ).fit_transform(series)
    assert found.partial == pytest.approx(partial, abs=1e-4)
    tangent = ConnectivityMeasure(kind="tangent", vectorize=True, standardize=False).fit(series[:4]).transform(series)
    assert found.tangent(found.reference(range(4))) == pytest.approx(tangent, abs=1e-4)


def test_partial_and_tangent_have_zeros_where_a_region_is_without_signal(store: Store) -> None:
    found = connectomes(store, store.scans["scan"], store.atlas.labels)
    tangent, lacks = found.tangent(found.reference(range(13))), np.array(REGIONS) == 255
    one, all_of_them = store.scans["scan"] == "s01_1", np.add.outer(lacks, lacks) * 1.0
    touches = sym_matrix_to_vec(all_of_them) > 0
    assert touches.sum() == 6
    assert (tangent[one][:, touches] == 0).all()
    assert (found.partial[one][:, sym_matrix_to_vec(all_of_them, True) > 0] == 0).all()
    assert np.isfinite(tangent).all()
    assert np.isfinite(found.partial).all()
    assert (tangent[~one] != 0).all()


def test_the_majority_scores_one_half(scans: pd.DataFrame, connectome: Connectomes) -> None:
    scores = score(predictions(scans, connectome)["majority"])
    expected = {"balanced_accuracy": 0.5, "auc": 0.5, "sensitivity": 0.0, "specificity": 1.0}
    assert {name: scores[name] for name in expected} == expected


def test_the_majority_scores_one_half_even_where_training_majorities_differ(
    scans: pd.DataFrame, connectome: Connectomes
) -> None:
    rows = np.r_[np.flatnonzero(scans["label"] == 0)[:13], np.flatnonzero(scans["label"] == 1)[:13]]
    parts = [connectome.series[row] for row in rows], connectome.correlation[rows], connectome.partial[rows]
    scores = score(predictions(scans.iloc[rows], Connectomes(*parts))["majority"])
    assert (scores["balanced_accuracy"], scores["auc"]) == (0.5, 0.5)


def test_a_label_that_is_the_site_is_predicted_by_the_site(scans: pd.DataFrame, connectome: Connectomes) -> None:
    found = {name: score(table)["auc"] for name, table in predictions(scans, connectome).items()}
    assert found["site"] == 1.0
    assert found["connectome"] > 0.9
    assert found["phenotype"] > 0.9  # it holds the site
    assert found["motion"] < 0.75


def test_a_site_that_was_never_seen_tells_nothing(scans: pd.DataFrame, connectome: Connectomes) -> None:
    scans = scans.assign(site=np.array(["north", "south", "east"])[np.arange(60) % 3])
    tables = baseline_predictions(scans, connectome, make_folds(scans, SplitConfig(splits="site")), 1.0)
    assert score(tables["site"])["auc"] == 0.5
    assert tables["site"].groupby("fold")["probability"].nunique().eq(1).all()


def test_every_scan_is_predicted_once_a_repeat_by_every_baseline(scans: pd.DataFrame, connectome: Connectomes) -> None:
    tables = predictions(scans, connectome)
    assert sorted(tables) == [
        "connectome", "connectome_partial", "connectome_tangent", "majority", "motion", "phenotype", "site",
    ]  # fmt: skip
    for table in tables.values():
        assert sorted(table["scan"]) == scans["scan"].tolist()
        assert list(table.columns) == [
            "scan", "subject", "site", "label", "fold", "repeat", "threshold", "probability",
        ]  # fmt: skip
        assert table["threshold"].eq(0.5).all()


def test_what_a_test_subject_holds_does_not_reach_the_model(scans: pd.DataFrame, connectome: Connectomes) -> None:
    everyone = scans["subject"].tolist()
    fold = [Fold(train=tuple(everyone[2:]), test=tuple(everyone[:2]))]
    before = baseline_predictions(scans, connectome, fold, 1.0, "combat")
    scans.loc[0, ["age", "label", "n_spikes"]] = (1e6, 0, 90)
    connectome.correlation[0] = connectome.partial[0] = 1e6
    connectome.series[0][:] *= 100
    after = baseline_predictions(scans, connectome, fold, 1.0, "combat")
    for name, table in before.items():
        assert table["probability"][1] == after[name]["probability"][1]


@pytest.mark.parametrize("name", ["connectome", "connectome_partial", "connectome_tangent"])
def test_each_kind_of_connectome_is_classified_by_its_own_edges(
    scans: pd.DataFrame, connectome: Connectomes, name: str
) -> None:
    scans["site"] = np.array(["north", "south"])[np.arange(60) // 5 % 2]
    flat = Connectomes(
        [signal[:, :1].repeat(5, 1) for signal in connectome.series], *2 * [np.zeros((60, 10), np.float32)]
    )
    assert score(predictions(scans, connectome)[name])["auc"] > 0.9
    parts = {"connectome": "correlation", "connectome_partial": "partial", "connectome_tangent": "series"}
    assert (
        score(predictions(scans, replace(connectome, **{parts[name]: getattr(flat, parts[name])}))[name])["auc"] < 0.7
    )


@pytest.mark.parametrize("kind", get_args(Harmonisation))
def test_sites_are_taken_out_of_connectomes_by_training_scans(
    scans: pd.DataFrame, connectome: Connectomes, kind: Harmonisation
) -> None:
    place = np.arange(60) // 5 % 2
    scans["site"] = np.array(["north", "south"])[place]
    connectome.correlation[:] *= 1 + 5 * place[:, None]
    fold = Fold(train=tuple(scans["subject"][20:]), test=tuple(scans["subject"][:20]))
    found = baseline_predictions(scans, connectome, [fold], 1.0, kind)
    edges, site = connectome.correlation.astype(np.float64), scans["site"]
    edges = fit_harmoniser(kind, edges[20:], site[20:]).transform(edges, site)
    model = linear_classifier(10, 1.0).fit(edges[20:], scans["label"][20:])
    assert found["connectome"]["probability"].to_numpy() == pytest.approx(
        model.predict_proba(edges[:20])[:, 1], abs=1e-3
    )
    plain = baseline_predictions(scans, connectome, [fold], 1.0)
    for name in found:
        same = np.array_equal(found[name]["probability"], plain[name]["probability"])
        assert same == (kind == "none" or not name.startswith("connectome"))


def test_three_classes_have_a_probability_each(scans: pd.DataFrame, connectome: Connectomes) -> None:
    scans["label"] = np.arange(60) % 5 % 3
    scans["age"] = scans["label"] * 10.0
    connectome.correlation[:, 1] = scans["label"]
    everyone = scans["subject"].to_numpy()
    folds = [
        Fold(tuple(everyone[np.arange(60) % 4 != part]), tuple(everyone[np.arange(60) % 4 == part]))
        for part in range(4)
    ]
    tables = baseline_predictions(scans, connectome, folds, 0.01)
    columns = [f"probability_{label}" for label in range(3)]
    for table in tables.values():
        assert list(table.columns) == ["scan", "subject", "site", "label", "fold", "repeat", *columns]
        assert table[columns].sum(axis=1).to_numpy() == pytest.approx(1)
    for name in ("phenotype", "connectome"):
        assert (tables[name][columns].to_numpy().argmax(axis=1) == tables[name]["label"]).mean() > 0.9
    assert tables["majority"]["probability_0"].eq(1).all()


def test_a_class_that_the_training_scans_lack_has_no_probability(scans: pd.DataFrame, connectome: Connectomes) -> None:
    scans.loc[:9, "label"] = 2
    folds = [Fold(train=tuple(scans["subject"][10:]), test=tuple(scans["subject"][:10]))]
    for table in baseline_predictions(scans, connectome, folds, 1.0).values():
        assert table["probability_2"].eq(0).all()


def test_there_is_no_phenotype_or_motion_baseline_without_such_columns(scans: pd.DataFrame) -> None:
    bare = scans[["site", "label", "iq"]].assign(mean_fd=None)
    assert sorted(tabular_models(bare)) == ["majority", "site"]


def test_motion_is_displacement_and_shares_of_volumes(scans: pd.DataFrame, connectome: Connectomes) -> None:
    scans["n_spikes"] = scans["n_volumes"] // 10 + 2 * scans["label"]
    scans["n_scrubbed"] = 0
    motion = tabular_models(scans)["motion"][1]
    assert motion["n_spikes"].to_numpy() == pytest.approx((scans["n_spikes"] / scans["n_volumes"]).to_numpy())
    assert score(predictions(scans, connectome)["motion"])["auc"] > 0.9
    scans["n_spikes"] = scans["n_volumes"] // 10
    scans["mean_fd"] = np.where(np.arange(60) % 6 == 0, np.nan, scans["label"] + 0.1)
    assert list(tabular_models(scans)["motion"][1]) == ["mean_fd", "n_spikes", "n_scrubbed"]
    assert score(predictions(scans, connectome)["motion"])["auc"] > 0.8


def test_a_phenotype_that_the_training_sites_did_not_measure_is_no_obstacle(
    scans: pd.DataFrame, connectome: Connectomes
) -> None:
    half = np.arange(60) % 2 == 0
    scans = scans.assign(site=np.where(half, "north", "south"), age=np.where(half, 10.0, np.nan))[
        ["scan", "subject", "site", "label", "age"]
    ]
    tables = baseline_predictions(scans, connectome, make_folds(scans, SplitConfig(splits="site")), 1.0)
    assert tables["phenotype"]["probability"].notna().all()


def test_handedness_in_words_is_a_category(scans: pd.DataFrame, connectome: Connectomes) -> None:
    scans["handedness"] = np.where(scans["label"] == 1, "left", "right")
    scans["site"] = "north"
    assert score(predictions(scans, connectome)["phenotype"])["auc"] > 0.95


def test_the_planted_connectivity_of_a_store_is_found(store: Store) -> None:
    scans = labelled_scans(store.scans, "dx").reset_index(drop=True)
    features = connectomes(store, scans["scan"], store.atlas.labels)
    folds = make_folds(scans, SplitConfig(folds=3))
    assert score(baseline_predictions(scans, features, folds, 1.0)["connectome"])["auc"] > 0.9
