from typing import get_args

import numpy as np
import pandas as pd
import pytest
from combatlearn import ComBat

from fmrifm.evaluation.harmonise import Harmonisation, fit_harmoniser

KINDS = get_args(Harmonisation)
TAKING = [kind for kind in KINDS if kind != "none"]
S, D = 900, 7
SITE = pd.Series(np.array(["north", "south", "west"])[np.arange(S) % 3])
LABEL = np.arange(S) // 3 % 2
TRAIN = np.arange(S) < 600


def planted() -> np.ndarray:
    """Each site shifts and stretches every feature its own way; the label adds 2 to the first."""
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(S, D))
    clean[:, 0] += 2 * LABEL
    place = np.arange(S) % 3
    return rng.uniform(0.5, 3, (3, D))[place] * clean + rng.normal(0, 5, (3, D))[place]


def harmonised(kind: Harmonisation, features: np.ndarray, train: np.ndarray = TRAIN) -> np.ndarray:
    return fit_harmoniser(kind, features[train], SITE[train]).transform(features, SITE)


@pytest.mark.parametrize("kind", TAKING)
@pytest.mark.parametrize("rows", [TRAIN, ~TRAIN], ids=["training", "held out"])
def test_offsets_and_scales_of_sites_vanish(kind: Harmonisation, rows: np.ndarray) -> None:
    def apart(features: np.ndarray) -> tuple[float, float]:
        """Largest distance of two sites' means in deviations, and largest ratio of their deviations."""
        sites = pd.DataFrame(features[rows]).groupby(SITE[rows].to_numpy())
        mean, deviation = sites.mean().to_numpy(), sites.std().to_numpy()
        distance = np.ptp(mean, axis=0) / deviation.mean(axis=0)
        return float(distance.max()), float((deviation.max(axis=0) / deviation.min(axis=0)).max())

    distance, ratio = apart(planted())
    assert distance > 3
    assert ratio > 3
    distance, ratio = apart(harmonised(kind, planted()))
    assert distance < (0.1 if rows is TRAIN else 0.5)
    assert ratio < (1.2 if rows is TRAIN else 1.6)


@pytest.mark.parametrize("kind", TAKING)
def test_a_difference_between_labels_survives(kind: Harmonisation) -> None:
    features = harmonised(kind, planted())[~TRAIN, 0]
    cases, others = features[LABEL[~TRAIN] == 1], features[LABEL[~TRAIN] == 0]
    assert (cases.mean() - others.mean()) / others.std() > 1.5


def test_none_leaves_everything_as_it_is() -> None:
    features = planted().astype(np.float32)
    found = harmonised("none", features)
    assert found.dtype == np.float32
    assert np.array_equal(found, features)


def test_combat_is_that_of_combatlearn() -> None:
    features = planted()
    model = ComBat(SITE).fit(pd.DataFrame(features[TRAIN]))
    expected = model.transform(pd.DataFrame(features)).to_numpy()
    assert harmonised("combat", features) == pytest.approx(expected, abs=1e-10)


def test_the_z_score_of_a_site_is_by_its_training_scans() -> None:
    features = planted()
    south = (SITE == "south").to_numpy()
    seen = features[south & TRAIN]
    expected = (features[south] - seen.mean(axis=0)) / seen.std(axis=0)
    assert harmonised("site_zscore", features)[south] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_test_scan_moves_neither_the_others_nor_the_fit(kind: Harmonisation) -> None:
    features = planted()
    before = harmonised(kind, features)
    features[-1] = 1e6
    after = harmonised(kind, features)
    assert np.array_equal(before[:-1], after[:-1])
    alone = fit_harmoniser(kind, features[TRAIN], SITE[TRAIN]).transform(features[-1:], SITE[-1:])
    assert np.array_equal(alone[0], after[-1])


@pytest.mark.parametrize("small", [0, 4], ids=["unseen", "seen four times"])
def test_a_site_without_a_line_of_its_own_gets_the_pooled_one_and_is_counted(small: int) -> None:
    features = planted()
    west = (SITE == "west").to_numpy()
    train = TRAIN & (~west | (np.cumsum(west) <= small))
    for kind in TAKING:
        harmoniser = fit_harmoniser(kind, features[train], SITE[train])
        assert np.array_equal(harmoniser.pooled(SITE), west)
        seen = features[train]
        pooled = features if kind == "combat" else (features - seen.mean(axis=0)) / seen.std(axis=0)
        assert harmoniser.transform(features, SITE)[west] == pytest.approx(pooled[west], abs=1e-10)


@pytest.mark.parametrize("kind", TAKING)
def test_scans_without_a_site_and_single_sites_are_no_obstacle(kind: Harmonisation) -> None:
    features = planted()
    nowhere = SITE.where(SITE != "west", None)
    harmoniser = fit_harmoniser(kind, features[TRAIN], nowhere[TRAIN])
    assert np.array_equal(harmoniser.pooled(nowhere), nowhere.isna())
    one = pd.Series(["here"] * S)
    assert np.isfinite(fit_harmoniser(kind, features, one).transform(features, one)).all()
    assert fit_harmoniser(kind, features, pd.Series([None] * S)).pooled(one).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", TAKING)
def test_features_constant_everywhere_or_at_one_site_stay_finite(kind: Harmonisation) -> None:
    features = planted()
    features[:, 1] = 0.7
    features[(SITE == "south").to_numpy(), 2] = 0
    features[TRAIN, 3] = np.array([1.0, 2.0, 4.0])[np.arange(S) % 3][TRAIN]
    found = harmonised(kind, features)
    assert np.ptp(found[:, 1]) < 1e-12
    assert np.ptp(found[(SITE == "south").to_numpy(), 2]) < 1e-12
    assert np.ptp(found[TRAIN, 3]) < 1e-12
    assert np.abs(found).max() < 100
    assert harmonised(kind, features[:, :1] * 0) == pytest.approx(0)
