import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.probe import fit_head, linear_classifier, scan_features, scan_summaries, scan_windows
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained

EDGES = 15


@pytest.fixture
def windows(store: Store) -> Windows:
    """Two scans, c at a repetition time of 2.5 s."""
    return Windows(store, ["s00_1", "s08_1"], 8)


def labelled_features(scans: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Features of very unequal scale, far from 0, one of which tells the label; labels 3 to 1."""
    rng = np.random.default_rng(0)
    label = (np.arange(scans) % 4 == 0).astype(np.int64)
    features = rng.normal(size=(scans, 5))
    features[:, 2] += label
    return features * [1, 10, 0.1, 1, 3] + [0, 50, -2, 1, 7], label


def test_the_windows_of_a_scan_cover_all_its_volumes(windows: Windows) -> None:
    signal, tr_s = scan_windows(windows, 1)
    run = torch.from_numpy(windows.store.window("s08_1"))
    assert signal.shape == (1, 4, 8, 100)
    assert tr_s.tolist() == [2.5]
    for place, start in enumerate([0, 8, 16, 22]):  # the last overlaps; 30 is no multiple of 8
        assert torch.equal(signal[0, place], run[start : start + 8])


def test_fewer_windows_are_spread_over_the_scan(windows: Windows) -> None:
    signal, _ = scan_windows(windows, 0, most=2)
    run = torch.from_numpy(windows.store.window("s00_1"))
    assert torch.equal(signal[0], torch.stack([run[:8], run[22:]]))


def test_each_scan_gets_its_own_row_in_the_order_asked(pretrained: Pretrained, windows: Windows) -> None:
    classifier = ScanClassifier(pretrained.model, "connectivity").train()
    features = scan_features(classifier, scan_summaries(classifier, windows, [1, 0]))
    assert features.shape == (2, EDGES)
    assert not classifier.training
    with torch.no_grad():
        for row, scan in zip(features, [1, 0], strict=True):
            assert row == pytest.approx(classifier.features(*scan_windows(windows, scan))[0].numpy(), abs=1e-5)


@pytest.mark.parametrize("penalty", [0.1, 1.0])
def test_the_folded_head_gives_the_log_odds_of_the_pipeline(penalty: float) -> None:
    features, label = labelled_features()
    weight, bias = fit_head(features, label, penalty)
    expected = linear_classifier(5, penalty).fit(features, label).decision_function(features)
    assert (torch.from_numpy(features).float() @ weight[0] + bias).numpy() == pytest.approx(expected, abs=1e-4)


def test_the_folded_head_of_many_classes_gives_their_probabilities() -> None:
    features, _ = labelled_features()
    label = np.arange(len(features)) % 3
    weight, bias = fit_head(features, label, 0.1)
    assert weight.shape == (3, 5)
    found = (torch.from_numpy(features).float() @ weight.T + bias).softmax(dim=1).numpy()
    expected = linear_classifier(5, 0.1).fit(features, label).predict_proba(features)
    assert found == pytest.approx(expected, abs=1e-4)


def test_rotating_more_features_than_scans_changes_no_prediction() -> None:
    rng = np.random.default_rng(0)
    train, test, label = rng.normal(size=(20, 300)), rng.normal(size=(7, 300)), np.arange(20) % 2
    scaler = StandardScaler().fit(train)
    plain = LogisticRegression(C=4 / 300, class_weight="balanced", tol=1e-9, max_iter=10_000)
    expected = plain.fit(scaler.transform(train), label).decision_function(scaler.transform(test))
    assert linear_classifier(300, 1.0).fit(train, label).decision_function(test) == pytest.approx(expected, abs=1e-5)


def test_a_constant_feature_gets_no_weight() -> None:
    features, label = labelled_features()
    features[:, 4] = 3.0
    weight, bias = fit_head(features, label, 1.0)
    assert weight[0, 4] == pytest.approx(0, abs=1e-12)
    assert np.isfinite(bias).all()


def test_the_penalty_is_a_multiple_of_the_number_of_features() -> None:
    features, label = labelled_features()
    scaled = StandardScaler().fit_transform(features)
    ours = linear_classifier(5, 2.0).fit(features, label)
    expected = LogisticRegression(C=4 / 10, class_weight="balanced", tol=1e-8).fit(scaled, label)
    assert ours[-1].coef_ @ ours[-2].components_ == pytest.approx(expected.coef_, abs=1e-3)


def test_classes_are_balanced_so_that_the_average_scan_is_undecided() -> None:
    features, label = labelled_features(400)
    weight, bias = fit_head(features, label, 0.01)
    log_odds = features @ weight[0].numpy() + bias.numpy()
    means = [log_odds[label == value].mean() for value in (0, 1)]
    assert sum(means) == pytest.approx(0, abs=0.2)  # 3 controls to 1 case would shift it by log 3 = 1.1
