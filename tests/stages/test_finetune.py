import json
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch

from fmrifm.atlas import Atlas
from fmrifm.cli import main
from fmrifm.config import EncoderMode, FinetuneConfig
from fmrifm.data.grid import Grid
from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter
from fmrifm.data.windows import Windows
from fmrifm.errors import CheckpointError, DataError
from fmrifm.evaluation.probe import scan_windows
from fmrifm.model.connectivity import CONNECTIVITY
from fmrifm.stages.finetune import finetune
from fmrifm.training.classifiers import load_folds

QUIET = {"trainer.accelerator": "cpu", "trainer.enable_progress_bar": "false"}
LABELLED = [f"s{number:02d}" for number in range(11)]


def test_a_run_leaves_the_files_that_others_read(finetuned_run):
    assert {file.relative_to(finetuned_run).as_posix() for file in finetuned_run.rglob("*") if file.is_file()} == {
        "config.yaml", "scans.tsv", "predictions.tsv", "metrics.json", "provenance.json",
        *(f"checkpoints/{name}.{suffix}" for name in ("pretrained", "fold-0", "fold-1", "fold-2")
          for suffix in ("json", "safetensors")),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["finetuned_run", "fully_finetuned_run"])
def test_every_labelled_subject_is_predicted_once_by_a_model_that_never_saw_it(request, name):
    run = request.getfixturevalue(name)
    table = pd.read_csv(run / "predictions.tsv", sep="\t")
    assert list(table) == ["scan", "subject", "site", "label", "fold", "repeat", "threshold", "probability"]
    assert sorted(table["subject"]) == LABELLED
    assert table["probability"].between(0, 1).all()
    folds = json.loads((run / "metrics.json").read_text())["folds"]
    assert [set(fold) for fold in folds] == [{"fold", "repeat", "train", "test"}] * len(folds)
    for row in table.itertuples():
        assert row.subject in folds[row.fold]["test"]
        assert row.subject not in folds[row.fold]["train"]
        assert row.label == int(row.subject[1:]) % 2


def test_the_metrics_hold_scores_with_intervals_and_say_that_pretraining_saw_the_subjects(finetuned_run):
    metrics = json.loads((finetuned_run / "metrics.json").read_text())
    assert set(metrics) == {"scores", "baselines", "folds", "leakage"}
    assert list(metrics["scores"]) == [
        "auc", "balanced_accuracy", "average_precision", "sensitivity", "specificity", "brier",
    ]  # fmt: skip
    assert set(metrics["scores"]["auc"]) == {"value", "ci_low", "ci_high", "n"}
    assert metrics["scores"]["auc"]["n"] == 11
    assert metrics["leakage"] == ["11 of 11 test subjects were in the pretraining set (their scans, not their labels)."]


def test_scans_without_a_label_are_counted(on_runs, tmp_path, capsys):
    finetune(FinetuneConfig(**{**on_runs(""), "out": str(tmp_path / "run")}, folds=2))
    assert "2 of 13 scans have no usable label in 'dx'." in capsys.readouterr().err


def test_a_full_run_trains_the_encoder_and_a_frozen_one_does_not(finetuned_run, fully_finetuned_run):
    for run, trained in ((finetuned_run, False), (fully_finetuned_run, True)):
        pretrained, folds = load_folds(run)
        before = pretrained.model.encoder.embed.weight
        moved = [not torch.equal(fold.classifier.autoencoder.encoder.embed.weight, before) for fold in folds]
        assert moved == [trained] * len(folds)


def test_the_saved_classifiers_make_the_saved_predictions(fully_finetuned_run, store_path):
    store, (_, folds) = Store(store_path), load_folds(fully_finetuned_run)
    table = pd.read_csv(fully_finetuned_run / "predictions.tsv", sep="\t").set_index("scan")
    signal = torch.from_numpy(store.window("s02_run-1")).unflatten(0, (4, 8))[None]  # 32 volumes: four windows
    fold = folds[table.loc["s02_run-1", "fold"]]
    with torch.no_grad():
        probability = fold.classifier(signal, torch.tensor([2.0])).sigmoid().item()
    assert probability == pytest.approx(table.loc["s02_run-1", "probability"], abs=1e-6)


@pytest.mark.parametrize("encoder", get_args(EncoderMode))
@pytest.mark.parametrize(
    ("pooling", "connectivity"),
    [
        *((pooling, "correlation") for pooling in ("mean", "attention", "recurrent")),
        *(("connectivity", kind) for kind in CONNECTIVITY),
    ],
)
def test_every_pooling_runs_on_every_kind_of_encoder_and_can_be_loaded(
    encoder, pooling, connectivity, on_runs, store_path, tmp_path, capsys
):
    asked = {"encoder": encoder, "pooling": pooling, "connectivity": connectivity, "lora_rank": 2, "lr": 1e-2}
    words = {**on_runs(""), "out": str(tmp_path / "run"), "folds": 2, "epochs": 1, "inner_folds": 2, **asked, **QUIET}
    assert main(["finetune", *(f"--{name}={value}" for name, value in words.items())]) == 0
    run = Path(capsys.readouterr().out.strip())
    table = pd.read_csv(run / "predictions.tsv", sep="\t").set_index("scan")
    assert table["probability"].between(0, 1).all()
    _, folds = load_folds(run)
    store = Store(store_path)
    for scan in ("s02_run-1", "s05_run-1"):
        row = table.loc[scan]
        scans = Windows(store, [scan], 8)
        with torch.no_grad():
            probability = folds[row["fold"]].classifier(*scan_windows(scans, 0)).sigmoid().item()
        assert probability == pytest.approx(row["probability"], abs=1e-6)


def test_sites_are_left_out_in_turn(on_runs, tmp_path):
    run = finetune(FinetuneConfig(**{**on_runs(""), "out": str(tmp_path / "run")}, splits="site"))
    folds = json.loads((run / "metrics.json").read_text())["folds"]
    assert [fold["test"] for fold in folds] == [LABELLED[:6], LABELLED[6:]]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"target": "iq"}, "no column 'iq'; it has scan, subject"),
        ({"target": "age"}, r"holds \[10\.5, .*expected 0 and 1"),
        ({"folds": 6}, "6 folds need as many subjects of each label; one label has 5"),
    ],
)
def test_a_target_or_split_that_cannot_work_leaves_no_folder(on_runs, tmp_path, changed, said):
    settings = {**on_runs(""), "out": str(tmp_path / "run"), **changed}
    with pytest.raises(DataError, match=said):
        finetune(FinetuneConfig(**settings))
    assert not (tmp_path / "run").exists()


def test_a_folder_without_a_checkpoint_is_refused(on_runs, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        finetune(FinetuneConfig(**{**on_runs(""), "checkpoint": str(tmp_path), "out": str(tmp_path / "run")}))


def test_a_model_is_fine_tuned_on_scans_of_another_grid_and_atlas(on_runs, store_path, tmp_path, capsys):
    store = Store(store_path)
    keep = store.grid.coordinates_mm[:, 0] > store.grid.coordinates_mm[:, 0].min()
    mask = store.grid.image(keep.astype(np.uint8)).get_fdata() > 0
    grid = Grid(affine=store.grid.affine, mask=mask)
    labels = np.where(store.atlas.labels[keep] == 41, 95, store.atlas.labels[keep])
    with StoreWriter(
        tmp_path / "other.zarr", grid=grid, atlas=Atlas(labels=labels, regions=store.atlas.regions), settings={}
    ) as writer:
        for row in store.scans.to_dict("records"):
            key, known = row["scan"], {name: row[name] for name in ("scan", "subject", "site", "tr_s", "dx")}
            writer.add(known, store.window(key)[:, keep], store.mean(key)[keep], store.deviation(key)[keep])
    settings = {**on_runs(""), "store": str(tmp_path / "other.zarr"), "out": str(tmp_path / "run")}
    run = finetune(FinetuneConfig(**settings, folds=2))
    assert "its tokens are cut anew" in " ".join(capsys.readouterr().err.split())
    found, _ = load_folds(run)
    assert found.grid.mask.sum() == keep.sum()
    assert 41 not in found.model.tokenizer.values
    assert sorted(pd.read_csv(run / "predictions.tsv", sep="\t")["subject"]) == LABELLED
