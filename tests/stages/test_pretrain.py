import json
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from safetensors.torch import load_file
from torch._inductor import config as inductor

from fmrifm.config import DataConfig, MaskingConfig, ModelConfig, TokensConfig
from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter
from fmrifm.errors import CheckpointError, ConfigError, DataError
from fmrifm.stages.pretrain import pretrain
from fmrifm.training.checkpoint import load_pretrained


class PowerCutError(Exception):
    """Nothing in the package expects it."""


class PowerCut(Callback):
    """Ends a run before a batch, as a cluster ends a job."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.moment = epoch, batch

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if (trainer.current_epoch, batch_idx) == self.moment:
            raise PowerCutError


def weights(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / f"{name}.safetensors")


def assert_same_weights(one: Path, other: Path) -> None:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_a_run_leaves_the_files_that_others_read(pretrained_run):
    assert {file.relative_to(pretrained_run).as_posix() for file in pretrained_run.rglob("*") if file.is_file()} >= {
        "config.yaml", "scans.tsv", "metrics.json", "provenance.json", "reconstruction.npz", "time_course.npz",
        "logs/metrics.csv",
        "checkpoints/best.safetensors", "checkpoints/best.json", "checkpoints/last.safetensors",
        "checkpoints/last.json", "checkpoints/resume.ckpt",
    }  # fmt: skip


def test_the_scores_are_those_of_the_held_out_subjects(pretrained_run):
    metrics = json.loads((pretrained_run / "metrics.json").read_text())
    assert set(metrics) == {"scores", "baselines", "folds", "leakage"}
    expected = metrics["baselines"]["population prior"]
    assert set(metrics["scores"]) == set(expected) == {"r2_voxel", "r2_region"}
    for score in [*metrics["scores"].values(), *expected.values()]:
        assert set(score) == {"value", "ci_low", "ci_high", "n"}
        assert score["ci_low"] <= score["value"] <= score["ci_high"]
        assert score["n"] == 2  # a fifth of twelve


def test_the_log_has_a_curve_of_both_parts(pretrained_run):
    log = pd.read_csv(pretrained_run / "logs" / "metrics.csv")
    assert log["val/r2_voxel"].notna().sum() == log["val/r2_region"].notna().sum() == 3


def test_the_picture_shows_what_was_hidden(pretrained_run, store_path):
    grid = Store(store_path).grid
    with np.load(pretrained_run / "reconstruction.npz") as picture:
        assert set(picture) == {"original", "reconstructed", "hidden", "affine", "volume"}
        hidden = picture["hidden"]
        assert hidden.shape == picture["original"].shape == (7, 8, 9)
        assert hidden[grid.mask].mean() == pytest.approx(0.75, abs=0.08)
        same = picture["original"] == picture["reconstructed"]
        assert same[~hidden].all()
        assert not same[hidden].any()
        np.testing.assert_array_equal(picture["affine"], grid.affine)


def test_the_time_course_is_that_of_a_region_by_its_name(pretrained_run, store_path):
    with np.load(pretrained_run / "time_course.npz") as course:
        assert set(course) == {"region", "true", "predicted", "tr_s", "correlation", "r2"}
        assert str(course["region"]) in set(Store(store_path).atlas.regions["name"])
        assert course["true"].shape == course["predicted"].shape
        assert len(course["true"]) > 0


def test_a_checkpoint_names_every_subject_it_has_seen(pretrained_run, store_path):
    found = load_pretrained(pretrained_run)
    assert sorted(found.subjects) == [f"s{number:02d}" for number in range(12)]
    assert (found.about["masking"]["kind"], found.about["masking"]["ratio"]) == ("region", 0.75)
    assert found.about["store_fingerprint"] == Store(store_path).fingerprint
    np.testing.assert_allclose(found.mean, 100.0)
    np.testing.assert_allclose(found.deviation, 2.0)


def test_a_scan_shorter_than_a_window_is_named(pretrain_settings, tmp_path, capsys):
    pretrain(pretrain_settings(tmp_path / "run", {"max_epochs": 1}))
    assert "1 scans are shorter than a window of 8 volumes: s00_run-2" in capsys.readouterr().err


@pytest.fixture(scope="module")
def undisturbed(pretrained_run) -> Path:
    return pretrained_run


def test_the_same_seed_gives_the_same_weights(pretrain_settings, undisturbed, tmp_path):
    assert_same_weights(pretrain(pretrain_settings(tmp_path / "again")), undisturbed)


def test_another_seed_gives_other_weights(pretrain_settings, undisturbed, tmp_path):
    other = weights(pretrain(pretrain_settings(tmp_path / "other", seed=1)))
    assert not torch.equal(other["model.encoder.embed.weight"], weights(undisturbed)["model.encoder.embed.weight"])


@pytest.mark.parametrize(
    ("epoch", "batch", "every", "workers"), [(0, 0, 1, 0), (1, 0, 9, 0), (1, 1, 1, 0), (2, 0, 9, 1), (2, 2, 1, 1)]
)
def test_an_interrupted_run_ends_like_an_undisturbed_one(
    pretrain_settings, undisturbed, tmp_path, epoch, batch, every, workers
):
    run, changes = tmp_path / "run", {"data": DataConfig(windows_per_scan=1, workers=workers), "save_every": every}
    with pytest.raises(PowerCutError):
        pretrain(pretrain_settings(run, {"callbacks": PowerCut(epoch, batch)}, **changes))
    assert not (run / "provenance.json").exists()
    pretrain(pretrain_settings(run, resume=True, **changes))
    assert_same_weights(run, undisturbed)
    assert (run / "metrics.json").read_text() == (undisturbed / "metrics.json").read_text()
    logs = [pd.read_csv(path / "logs" / "metrics.csv") for path in (run, undisturbed)]
    pd.testing.assert_frame_equal(*logs, check_like=True)


@pytest.mark.parametrize("mix", [None, {"adaptive": 3.0, "random": 1.0}])
def test_what_a_masker_has_learnt_of_regions_is_resumed(pretrain_settings, tmp_path, mix):
    masking = MaskingConfig(kind="adaptive") if mix is None else MaskingConfig(kind="mix", mix=mix)
    run, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    with pytest.raises(PowerCutError):
        pretrain(pretrain_settings(run, {"callbacks": PowerCut(2, 0)}, masking=masking))
    state = torch.load(run / "checkpoints" / "resume.ckpt", weights_only=True)["state_dict"]
    (squares,) = (values for name, values in state.items() if name.startswith("masker."))
    assert (squares > 0).all()
    pretrain(pretrain_settings(run, resume=True, masking=masking))
    pretrain(pretrain_settings(undisturbed, masking=masking))
    assert_same_weights(run, undisturbed)


def test_cubic_tokens_are_trained_and_loaded_as_such(pretrain_settings, tmp_path):
    tokens = TokensConfig(kind="grid", window_volumes=8, patch_volumes=4, edge_voxels=2)
    run = pretrain(pretrain_settings(tmp_path / "run", {"max_epochs": 1}, tokens=tokens))
    found = load_pretrained(run)
    assert found.tokens == tokens
    assert found.model.tokenizer.counts.shape == (6, 64)
    assert found.model.tokenizer.counts.gt(0).sum(dim=0).max() > 1


def test_a_rule_that_cannot_hide_the_share_leaves_no_folder(pretrain_settings, tmp_path):
    tokens = TokensConfig(kind="grid", window_volumes=8, patch_volumes=4, edge_voxels=2)
    settings = pretrain_settings(tmp_path / "run", tokens=tokens, masking=MaskingConfig(rule="pure"))
    with pytest.raises(ConfigError, match=r"by masking\.rule pure regions hide at most \d+\.\d% of the pool's voxels"):
        pretrain(settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method")  # the compiler's own
@inductor.patch({"cpp.cxx": ("/nowhere/c++",)})
def test_a_model_that_cannot_be_compiled_is_trained_all_the_same(
    pretrain_settings, undisturbed, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    model = ModelConfig(width=24, layers=1, heads=2, queries=16, compile=True, checkpointing=True)
    run = pretrain(pretrain_settings(tmp_path / "run", model=model))
    assert "model.compile: this machine cannot compile the model (" in capsys.readouterr().err
    ours, theirs = weights(run), weights(undisturbed)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, atol=1e-4, rtol=1e-3, msg=name)


class Sums(Callback):
    """Notes in which precision validation adds up, and how a step computes."""

    def __init__(self) -> None:
        self.types: set[torch.dtype] = set()

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for block in pl_module.model.encoder.blocks:
            block.attn.to_q.register_forward_hook(lambda *call: self.types.add(call[2].dtype))

    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *batch: Any) -> None:
        self.types.add(pl_module._sums.dtype)


def test_in_bfloat16_weights_and_validation_sums_stay_float32(pretrain_settings, undisturbed, tmp_path):
    run = pretrain(pretrain_settings(tmp_path / "run", {"precision": "bf16-mixed", "callbacks": (sums := Sums())}))
    assert sums.types == {torch.bfloat16, torch.float32}
    assert {tensor.dtype for name, tensor in weights(run).items() if name.startswith("model.")} == {torch.float32}
    scores, others = (json.loads((path / "metrics.json").read_text())["scores"] for path in (run, undisturbed))
    for name, score in scores.items():
        assert score["value"] == pytest.approx(others[name]["value"], abs=0.01)
        assert score["value"] != others[name]["value"]


def test_nothing_to_resume_says_so_and_leaves_no_folder(pretrain_settings, tmp_path):
    with pytest.raises(CheckpointError, match=r"resume\.ckpt: missing, so there is nothing to resume"):
        pretrain(pretrain_settings(tmp_path / "run", resume=True))
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_resumed_as_another_experiment(pretrain_settings, pretrained_run):
    before = (pretrained_run / "config.yaml").read_text()
    others = {
        "seed 0, not 1": {"seed": 1},
        "data.windows_per_scan 1, not 2": {"data": DataConfig(windows_per_scan=2)},
        "model.queries 16, not 17": {"model": ModelConfig(width=24, layers=1, heads=2, queries=17)},
    }
    for said, other in others.items():
        with pytest.raises(ConfigError, match=rf"the run was begun with {said}\. Go on with the same settings"):
            pretrain(pretrain_settings(pretrained_run, resume=True, **other))
    assert (pretrained_run / "config.yaml").read_text() == before


def test_a_mix_is_not_resumed_with_a_strategy_less(pretrain_settings, tmp_path):
    mix = {"random": 1.0, "region": 1.0}
    pretrain(pretrain_settings(tmp_path, {"max_epochs": 1}, masking=MaskingConfig(kind="mix", mix=mix)))
    fewer = MaskingConfig(kind="mix", mix={"random": 1.0})
    with pytest.raises(ConfigError, match=r"was begun with masking\.mix\.region 1\.0, not None"):
        pretrain(pretrain_settings(tmp_path, resume=True, masking=fewer))


def test_a_finished_run_is_not_overwritten(pretrain_settings, pretrained_run):
    with pytest.raises(ConfigError, match=r"not empty\. Choose another --out, or remove it; --resume goes on"):
        pretrain(pretrain_settings(pretrained_run))


def test_what_lightning_cannot_do_is_said_and_the_mended_command_may_follow(pretrain_settings, tmp_path):
    with pytest.raises(ConfigError, match=r"trainer: .*hope"):
        pretrain(pretrain_settings(tmp_path / "run", {"strategy": "hope"}))
    assert not (tmp_path / "run").exists()


def test_no_scan_as_long_as_a_window_is_refused(pretrain_settings, tmp_path):
    with pytest.raises(DataError, match="no scan has the 64 consecutive volumes of a window"):
        pretrain(pretrain_settings(tmp_path / "run", tokens=TokensConfig(window_volumes=64, patch_volumes=4)))


def test_one_subject_is_too_few(pretrain_settings, store_path, tmp_path):
    store = Store(store_path)
    with StoreWriter(tmp_path / "one.zarr", grid=store.grid, atlas=store.atlas, settings={}) as writer:
        for row in store.scans.iloc[:2].to_dict(orient="records"):
            key = row["scan"]
            writer.add(row, store.window("s00_run-1"), store.mean(key), store.deviation(key))
    settings = pretrain_settings(tmp_path / "run")
    with pytest.raises(DataError, match="one subject only"):
        pretrain(type(settings)(**{**vars(settings), "store": str(tmp_path / "one.zarr")}))


def test_who_learns_to_predict_is_scored_by_that(pretrain_settings, tmp_path):
    run = pretrain(pretrain_settings(tmp_path / "next", objective="next"))
    scores = json.loads((run / "metrics.json").read_text())["scores"]
    assert set(scores) == {"skill_next_h1", "skill_next_h2", "skill_next_h3"}
    assert scores["skill_next_h1"]["n"] == 2
    assert not (run / "reconstruction.npz").exists()
    log = pd.read_csv(run / "logs" / "metrics.csv")
    assert log["val/skill_next"].notna().sum() == 3
    found = load_pretrained(run)
    assert found.objective == "next"
    assert found.model.next is not None
    assert found.model.prior is None or not found.model.prior.loadings.any()  # nothing would read it


def test_both_objectives_train_one_encoder_and_resume(pretrain_settings, tmp_path):
    whole = pretrain(pretrain_settings(tmp_path / "whole", objective="mask+next"))
    assert {"r2_voxel", "skill_next_h1"} <= set(json.loads((whole / "metrics.json").read_text())["scores"])
    settings = pretrain_settings(tmp_path / "cut", objective="mask+next", trainer={"callbacks": [PowerCut(1, 1)]})
    with pytest.raises(PowerCutError):
        pretrain(settings)
    pretrain(pretrain_settings(tmp_path / "cut", objective="mask+next", resume=True))
    assert_same_weights(whole, tmp_path / "cut")


def test_a_window_without_a_past_cannot_be_predicted(pretrain_settings, tmp_path):
    with pytest.raises(ConfigError, match="less than the window, 8"):
        pretrain_settings(tmp_path / "run", objective="next", tokens=TokensConfig(window_volumes=8, patch_volumes=8))
