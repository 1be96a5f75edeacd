from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import default_collate

from fmrifm.config import FinetuneConfig, OptimConfig
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.crossval import fit_folds
from fmrifm.evaluation.labels import labelled_scans
from fmrifm.evaluation.metrics import by_subject, classification_scores
from fmrifm.evaluation.probe import linear_classifier, scan_features, scan_summaries, scan_windows
from fmrifm.evaluation.splits import Fold, inner_folds, make_folds, sides
from fmrifm.model.connectivity import CONNECTIVITY
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained
from fmrifm.training.classifiers import FittedFold
from fmrifm.training.finetune import FinetuneModule, LabelledScans

MODES = ["frozen", "full", "lora"]
QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}


@pytest.fixture
def scans(store: Store) -> pd.DataFrame:
    return labelled_scans(store.scans, "dx").reset_index(drop=True)


Fitted = tuple[FittedFold, pd.DataFrame]


def settings(**changes: Any) -> FinetuneConfig:
    return FinetuneConfig(store="", checkpoint="", out="", folds=2, penalty=(0.1,), inner_folds=2, **changes)


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
        assert list(table.columns) == [
            "scan", "subject", "site", "label", "fold", "repeat", "threshold", "probability",
        ]  # fmt: skip


def test_a_frozen_encoder_predicts_as_the_pipeline_does_on_its_features(
    pretrained: Pretrained, store: Store, scans: pd.DataFrame, tmp_path: Path
) -> None:
    start = ScanClassifier(pretrained.model, "connectivity")
    features = scan_features(start, scan_summaries(start, Windows(store, scans["scan"].tolist(), 8), range(len(scans))))
    features = features.astype(np.float64)
    for fold, predictions in fit(pretrained, store, scans, tmp_path):
        train = scans["subject"].isin(fold.train).to_numpy()
        model = linear_classifier(features.shape[1], 0.1).fit(features[train], scans["label"][train])
        expected = model.predict_proba(features[~train])[:, 1]
        assert predictions["probability"].to_numpy() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("encoder", "pooling", "connectivity"),
    [
        *((encoder, "connectivity", "correlation") for encoder in MODES),
        *((encoder, "attention", "correlation") for encoder in MODES),
        *((encoder, "recurrent", "correlation") for encoder in MODES),
        *((encoder, "connectivity", "tangent") for encoder in MODES),
    ],
)
def test_predictions_are_those_of_the_fitted_network_on_the_windows_themselves(
    encoder: str,
    pooling: str,
    connectivity: str,
    pretrained: Pretrained,
    store: Store,
    scans: pd.DataFrame,
    tmp_path: Path,
) -> None:
    asked = {"encoder": encoder, "pooling": pooling, "connectivity": connectivity, "epochs": 1, "trainer": QUIET}
    for fold, predictions in fit(pretrained, store, scans, tmp_path, **asked):
        windows = Windows(store, predictions["scan"].tolist(), 8)
        log_odds = torch.cat([fold.classifier(*scan_windows(windows, scan)) for scan in range(len(windows))])[:, 0]
        expected = log_odds.sigmoid().detach().numpy()
        np.testing.assert_allclose(predictions["probability"], expected, atol=1e-6)


def fitted_weights(
    pretrained: Pretrained, store: Store, scans: pd.DataFrame, fold: Fold, config: FinetuneConfig, logs: Path
) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return next(fit_folds(pretrained, store, scans, [fold], config, logs))[0].classifier.state_dict()


@pytest.mark.parametrize("pooling", ["connectivity", "attention", "recurrent"])
@pytest.mark.parametrize("encoder", MODES)
def test_neither_labels_nor_scans_of_the_tested_reach_the_model(
    encoder: str, pooling: str, pretrained: Pretrained, store: Store, scans: pd.DataFrame, tmp_path: Path
) -> None:
    config = settings(encoder=encoder, pooling=pooling, connectivity="tangent", epochs=1, trainer=QUIET)
    (fold, _) = make_folds(scans, config)
    told = scans.assign(label=np.where(scans["subject"].isin(fold.test), 1 - scans["label"], scans["label"]))
    expected = fitted_weights(pretrained, store, scans, fold, config, tmp_path)
    for table, test in ((told, fold.test), (scans, fold.test[:2])):
        found = fitted_weights(pretrained, store, table, Fold(train=fold.train, test=test), config, tmp_path)
        for name, tensor in expected.items():
            assert torch.equal(tensor, found[name]), name


def test_the_tangent_reference_is_the_mean_of_the_training_scans(
    pretrained: Pretrained, store: Store, scans: pd.DataFrame, tmp_path: Path
) -> None:
    start = ScanClassifier(pretrained.model, "connectivity", "tangent")
    summaries = scan_summaries(start, Windows(store, scans["scan"].tolist(), 8), range(len(scans)))
    references = []
    for fold, _ in fit(pretrained, store, scans, tmp_path, connectivity="tangent"):
        start.pooling.fit(summaries[np.flatnonzero(scans["subject"].isin(fold.train))])
        references.append(fold.classifier.pooling.reference)
        assert torch.equal(references[-1], start.pooling.reference)
    assert not torch.equal(*references)


@pytest.mark.parametrize("connectivity", CONNECTIVITY)
def test_the_planted_coupling_is_found_in_subjects_never_seen(
    connectivity: str, pretrained: Pretrained, store: Store, scans: pd.DataFrame, tmp_path: Path
) -> None:
    # Twelve subjects: one split could be lucky or unlucky.
    fitted = fit(pretrained, store, scans, tmp_path, connectivity=connectivity, repeats=5)
    table = pd.concat([predictions for _, predictions in fitted])
    assert classification_scores(by_subject(table), 1, np.random.default_rng(0))["auc"].value > 0.85


@pytest.mark.parametrize("encoder", ["frozen", "full"])
def test_more_than_two_classes_get_a_probability_each(
    encoder: str, pretrained: Pretrained, store: Store, scans: pd.DataFrame, tmp_path: Path
) -> None:
    subjects = scans["subject"].str[1:].astype(int)
    scans = scans.assign(label=subjects % 3, site="north")
    columns = [f"probability_{label}" for label in range(3)]
    for fold, predictions in fit(pretrained, store, scans, tmp_path, encoder=encoder, epochs=1, trainer=QUIET):
        assert list(predictions.columns) == ["scan", "subject", "site", "label", "fold", "repeat", *columns]
        assert predictions[columns].sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-5)
        windows = Windows(store, predictions["scan"].tolist(), 8)
        with torch.no_grad():
            logits = torch.cat([fold.classifier(*scan_windows(windows, scan)) for scan in range(len(windows))])
            pooled = torch.cat([fold.classifier.features(*scan_windows(windows, n)) for n in range(len(windows))])
            against_0 = fold.classifier.score(pooled)
        np.testing.assert_allclose(predictions[columns], logits.softmax(dim=1), atol=1e-5)
        first = predictions["probability_0"].to_numpy()
        assert against_0.numpy() == pytest.approx(np.log((1 - first) / first), abs=1e-3)


def test_training_goes_back_to_the_pass_that_predicts_an_inner_fold_best(
    pretrained: Pretrained, store: Store, scans: pd.DataFrame, tmp_path: Path
) -> None:
    def loss(classifier: ScanClassifier, fold: Fold, config: FinetuneConfig) -> float:
        """Of the scans that stop the training, as training weighs them."""
        inner = inner_folds(scans, fold, config.inner_folds, config.seed)[0]
        train, watched = sides(scans, inner)
        label = scans["label"].to_numpy()
        windows = Windows(store, scans["scan"].tolist(), 8).part(watched)
        module = FinetuneModule(classifier, OptimConfig(), np.bincount(label[train]))
        seen: list[float] = []
        module.log = lambda name, value, **_: seen.append(float(value))
        with torch.no_grad():
            module.validation_step(
                default_collate([LabelledScans(windows, label[watched], None)[n] for n in (0, 1, 2)])
            )
        return seen[0]

    found = {}
    for epochs in (1, 2, 6):  # a rate at which later passes are worse
        settings_ = {"encoder": "full", "lr": 0.03, "epochs": epochs, "patience": 6, "trainer": QUIET}
        fold = make_folds(scans, settings())[0]
        (fitted, _), *_ = fit(pretrained, store, scans, tmp_path, **settings_)
        found[epochs] = loss(fitted.classifier, fold, settings())
    assert found[6] <= min(found.values()) + 1e-6
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize("encoder", MODES)
@pytest.mark.parametrize("pooling", ["connectivity", "attention", "recurrent"])
def test_what_a_mode_trains_moves_and_each_fold_starts_anew(
    encoder: str, pooling: str, pretrained: Pretrained, store: Store, scans: pd.DataFrame, tmp_path: Path
) -> None:
    # An untrained block puts out 0 whatever its attention does, and low-rank changes could not be felt.
    torch.nn.init.normal_(pretrained.model.encoder.blocks[0].attn.out_proj.weight, std=0.1)
    before = {name: tensor.clone() for name, tensor in pretrained.model.state_dict().items()}
    folds = fit(pretrained, store, scans, tmp_path, encoder=encoder, pooling=pooling, epochs=1, trainer=QUIET)
    models = [fold.classifier.autoencoder for fold, _ in folds]
    for model in models:
        assert torch.equal(model.encoder.embed.weight, before["encoder.embed.weight"]) == (encoder != "full")
        values = model.encoder.blocks[0].attn.to_v.weight
        assert torch.equal(values, before["encoder.blocks.0.attn.to_v.weight"]) == (encoder == "frozen")
        assert not model.training
    if encoder != "frozen":
        assert not torch.equal(*(model.encoder.blocks[0].attn.to_v.weight for model in models))
    poolings = [dict(fold.classifier.pooling.named_parameters()) for fold, _ in folds]
    assert all(bool(weights) == (pooling != "connectivity") for weights in poolings)
    assert all(weights["query"].any() for weights in poolings if pooling == "attention")
    assert not any(torch.equal(weight, poolings[1][name]) for name, weight in poolings[0].items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in pretrained.model.state_dict().items())
