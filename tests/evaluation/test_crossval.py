from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from fmrifm.config import FinetuneConfig
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.crossval import fit_folds
from fmrifm.evaluation.metrics import by_subject, classification_scores
from fmrifm.evaluation.probe import linear_classifier, scan_features, scan_windows
from fmrifm.evaluation.splits import labelled_scans, make_folds
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained
from fmrifm.training.classifiers import FittedFold

QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}


@pytest.fixture
def scans(store: Store) -> pd.DataFrame:
    return labelled_scans(store.scans, "dx").reset_index(drop=True)


Fitted = tuple[FittedFold, pd.DataFrame]


def settings(**changes: Any) -> FinetuneConfig:
    return FinetuneConfig(store="", checkpoint="", out="", folds=2, penalty=0.1, **changes)


def fit(pretrained: Pretrained, store: Store, scans: pd.DataFrame, logs: Path, **changes: Any) -> list[Fitted]:
    config = settings(**changes)
    return list(fit_folds(pretrained, store, scans, make_folds(scans, config), config, logs))


def test_held_out_scans_are_predicted_once_by_a_model_that_never_saw_their_subject(
    pretrained: Pretrained, store: Store, scans: pd.DataFrame, tmp_path: Path
) -> None:
    folds, tables = zip(*fit(pretrained, store, scans, tmp_path), strict=True)
    assert [fold.number for fold in folds] == [0, 1]
    assert sorted(pd.concat(tables)["scan"]) == scans["scan"].tolist()
    for fold, table in zip(folds, tables, strict=True):
        assert set(table["subject"]) == set(fold.test)
        assert not set(fold.test) & set(fold.train)
        assert list(table.columns) == ["scan", "subject", "site", "label", "fold", "probability"]


def test_a_frozen_encoder_predicts_as_the_pipeline_does_on_its_features(
    pretrained: Pretrained, store: Store, scans: pd.DataFrame, tmp_path: Path
) -> None:
    start = ScanClassifier(pretrained.model, "connectivity")
    features = scan_features(start, Windows(store, scans["scan"].tolist(), 8), range(len(scans)))
    for fold, predictions in fit(pretrained, store, scans, tmp_path):
        train = scans["subject"].isin(fold.train).to_numpy()
        model = linear_classifier(features.shape[1], 0.1).fit(features[train], scans["label"][train])
        expected = model.predict_proba(features[~train])[:, 1]
        assert predictions["probability"].to_numpy() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("encoder", ["frozen", "full"])
def test_predictions_are_those_of_the_fitted_network_on_the_windows_themselves(
    encoder: str, pretrained: Pretrained, store: Store, scans: pd.DataFrame, tmp_path: Path
) -> None:
    for fold, predictions in fit(pretrained, store, scans, tmp_path, encoder=encoder, epochs=1, trainer=QUIET):
        windows = Windows(store, predictions["scan"].tolist(), 8)
        log_odds = torch.cat([fold.classifier(*scan_windows(windows, scan)) for scan in range(len(windows))])
        expected = log_odds.sigmoid().detach().numpy()
        np.testing.assert_allclose(predictions["probability"], expected, atol=1e-6)


@pytest.mark.parametrize("encoder", ["frozen", "full"])
def test_labels_of_the_tested_do_not_reach_the_model(
    encoder: str, pretrained: Pretrained, store: Store, scans: pd.DataFrame, tmp_path: Path
) -> None:
    config = settings(encoder=encoder, epochs=1, trainer=QUIET)
    (fold, _) = make_folds(scans, config)
    told = scans.assign(label=np.where(scans["subject"].isin(fold.test), 1 - scans["label"], scans["label"]))
    first, second = (next(fit_folds(pretrained, store, table, [fold], config, tmp_path))[0] for table in (scans, told))
    for name, tensor in first.classifier.state_dict().items():
        assert torch.equal(tensor, second.classifier.state_dict()[name]), name


def test_the_planted_coupling_is_found_in_subjects_never_seen(
    pretrained: Pretrained, store: Store, scans: pd.DataFrame, tmp_path: Path
) -> None:
    table = pd.concat([predictions for _, predictions in fit(pretrained, store, scans, tmp_path)])
    assert classification_scores(by_subject(table), 1, np.random.default_rng(0))["auc"].value > 0.9


def test_only_full_training_moves_the_encoder_and_each_fold_starts_anew(
    pretrained: Pretrained, store: Store, scans: pd.DataFrame, tmp_path: Path
) -> None:
    before = {name: tensor.clone() for name, tensor in pretrained.model.state_dict().items()}
    folds = {
        encoder: fit(pretrained, store, scans, tmp_path, encoder=encoder, epochs=1, trainer=QUIET)
        for encoder in ("frozen", "full")
    }
    weight = "encoder.embed.weight"
    for (frozen, _), (full, _) in zip(*folds.values(), strict=True):
        assert torch.equal(frozen.classifier.autoencoder.state_dict()[weight], before[weight])
        assert not torch.equal(full.classifier.autoencoder.state_dict()[weight], before[weight])
        assert not full.classifier.training
    first, second = (fold.classifier.autoencoder.state_dict()[weight] for fold, _ in folds["full"])
    assert not torch.equal(first, second)
    assert all(torch.equal(tensor, before[name]) for name, tensor in pretrained.model.state_dict().items())
