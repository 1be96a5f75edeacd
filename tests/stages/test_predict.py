import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from fmrifm.config import PredictConfig
from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter
from fmrifm.errors import DataError
from fmrifm.stages.predict import predict
from fmrifm.training.checkpoint import Pretrained, build_model, save_pretrained

SMALL = {"lags": 4, "granule": 40, "context": 10, "epochs": 1, "rollout_volumes": 7, "bootstrap": 50}


@pytest.fixture
def checkpoint(pretrained: Pretrained, tmp_path: Path) -> Path:
    return save_pretrained(tmp_path / "best", replace(pretrained, mean=pretrained.mean.copy()))


def moving(store: Store, path: Path, filtered: bool = False) -> Path:
    """The store's scans with regions that drift, so that the next volume can be foretold."""
    rng = np.random.default_rng(0)
    labels = store.atlas.labels
    with StoreWriter(path, grid=store.grid, atlas=store.atlas, settings={}, synthetic=True) as writer:
        for number in range(10):
            drive = rng.normal(size=(60, 256))
            for volume in range(1, 60):
                drive[volume] += 0.8 * drive[volume - 1]
            if filtered:
                drive = np.sin(np.arange(60)[:, None] * 0.3 + rng.uniform(0, 6, 256))
            signal = drive[:, labels] + 0.05 * rng.normal(size=(60, len(labels)))
            signal = (signal - signal.mean(axis=0)) / signal.std(axis=0)
            row = {"scan": f"s{number:02d}", "subject": f"s{number:02d}", "site": "x", "tr_s": 2.0}
            covered = (labels != 255) | (number != 1)
            writer.add(row, signal * covered, 100 * covered, 2.0 * covered)
    return path


@pytest.fixture
def run(checkpoint: Path, store: Store, tmp_path: Path) -> Path:
    path = moving(store, tmp_path / "store")
    return predict(PredictConfig(store=str(path), checkpoint=str(checkpoint), out=str(tmp_path / "run"), **SMALL))


def test_every_circuit_is_measured_against_every_reference_at_every_horizon(run: Path) -> None:
    table = pd.read_csv(run / "skill.tsv", sep="\t")
    assert list(table) == ["circuit", "reference", "horizon", "skill", "ci_low", "ci_high", "n"]
    ours = table[table["circuit"].isin(["cerebellum", "recurrent", "attention"])]
    assert len(ours) == 3 * 3 * 3
    assert (ours["n"] == 2).all()
    assert not table.isna().any(axis=None)
    scores = json.loads((run / "metrics.json").read_text())["scores"]
    assert len(scores) == 27
    over_persistence = scores["cerebellum_over_persistence_h3"]
    row = ours.query("circuit == 'cerebellum' and reference == 'persistence' and horizon == 3").iloc[0]
    assert over_persistence["value"] == pytest.approx(row["skill"])
    assert row["skill"] > 0.1


def test_a_region_that_one_scan_lacks_is_named_and_not_predicted(run: Path) -> None:
    table = pd.read_csv(run / "regions.tsv", sep="\t").set_index("index")
    assert table.loc[255, "importance"] != table.loc[255, "importance"]  # NaN
    assert table["importance"].drop(255).notna().all()
    assert (table["method"] == "surprise").all()


def test_the_rollout_is_a_scan_of_bold_that_moves_in_the_brain_alone(run: Path, store: Store) -> None:
    image = nib.load(run / "rollout.nii.gz")
    assert image.shape == (*store.grid.shape, 7)
    assert image.header.get_zooms()[3] == pytest.approx(2.0)
    inside = image.get_fdata()[store.grid.mask]
    moves = inside.std(axis=1) > 0
    region = store.atlas.labels
    assert moves[(region > 0) & (region != 255)].all()
    assert inside[moves].mean() == pytest.approx(100, abs=5)
    assert (image.get_fdata()[~store.grid.mask] == 0).all()


def test_filtered_scans_are_warned_of(
    checkpoint: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = moving(store, tmp_path / "store", filtered=True)
    settings = {**SMALL, "circuits": ("cerebellum",)}
    run = predict(PredictConfig(store=str(path), checkpoint=str(checkpoint), out=str(tmp_path / "run"), **settings))
    assert "Filtered data" in " ".join(capsys.readouterr().err.split())
    assert json.loads((run / "metrics.json").read_text())["leakage"][0].startswith("Filtered data")


def test_a_checkpoint_that_learnt_to_predict_is_measured_by_its_own_head(
    pretrained: Pretrained, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    model = build_model(store.grid, store.atlas, pretrained.tokens, pretrained.sizes, "next").eval()
    seen = tuple(f"s{number:02d}" for number in range(10))
    own = replace(pretrained, model=model, objective="next", subjects=seen, mean=pretrained.mean.copy())
    settings = {"store": str(moving(store, tmp_path / "store")), "out": str(tmp_path / "run"), **SMALL}
    run = predict(PredictConfig(checkpoint=str(save_pretrained(tmp_path / "next", own)), **settings))
    table = pd.read_csv(run / "skill.tsv", sep="\t")
    ours = table[table["circuit"] == "pretrained"]
    assert len(ours) == 3 * 3
    metrics = json.loads((run / "metrics.json").read_text())
    at_two = ours.query("horizon == 2 and reference == 'ar'")["skill"].item()
    assert metrics["scores"]["pretrained_over_ar_h2"]["value"] == pytest.approx(at_two)
    assert at_two < 0  # it has learnt nothing, and expects the mean
    assert "has seen 2 of the 2 held-out subjects" in " ".join(capsys.readouterr().err.split())
    assert "has seen 2 of the 2" in metrics["leakage"][0]


def test_scans_too_short_are_refused(checkpoint: Path, store: Store, tmp_path: Path) -> None:
    settings = PredictConfig(
        store=str(store.path), checkpoint=str(checkpoint), out=str(tmp_path / "run"), **{**SMALL, "context": 20}
    )
    with pytest.raises(DataError, match="has 30 volumes without a gap, expected at least 40"):
        predict(settings)
