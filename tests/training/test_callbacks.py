import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fmrifm.training.callbacks import SaveWeights
from fmrifm.training.checkpoint import Pretrained, load_pretrained


@pytest.fixture
def saver(tmp_path, pretrained) -> SaveWeights:
    def describe(moment: Any) -> Pretrained:
        return replace(pretrained, about=dict(moment))

    return SaveWeights(tmp_path, "val/r2_voxel", describe)


@pytest.fixture
def after(pretrained) -> Callable[..., Any]:
    """Make what the callback sees of a Trainer after a validation, whose weights stand whole."""
    weights = {f"model.{name}": tensor for name, tensor in pretrained.model.state_dict().items()}
    return partial(_after, SimpleNamespace(lightning_module_state_dict=lambda: weights))


def _after(strategy: Any, epoch: int, r2: float, **state: bool) -> Any:
    metrics = {"val/r2_voxel": torch.tensor(r2), "train/loss": torch.tensor(1.0)}
    known = {"sanity_checking": False, "is_global_zero": True, "current_epoch": epoch, "global_step": 10 * epoch}
    return SimpleNamespace(strategy=strategy, callback_metrics=metrics, **known | state)


def test_last_follows_every_validation_and_best_only_a_rise(saver, after, tmp_path):
    for epoch, r2 in enumerate([0.25, 0.5, 0.375]):
        saver.on_validation_end(after(epoch, r2), None)
    assert load_pretrained(tmp_path / "last.safetensors").about["epoch"] == 2
    best = load_pretrained(tmp_path / "best.safetensors").about
    assert best == {"epoch": 1, "step": 10, "scores": {"val/r2_voxel": 0.5}}


def test_the_best_score_survives_a_resume(saver, after, tmp_path):
    saver.on_validation_end(after(0, 0.5), None)
    resumed = SaveWeights(tmp_path, "val/r2_voxel", saver.describe)
    resumed.load_state_dict(json.loads(json.dumps(saver.state_dict())))
    resumed.on_validation_end(after(1, 0.25), None)
    assert load_pretrained(tmp_path / "best.safetensors").about["epoch"] == 0


@pytest.mark.parametrize("state", [{"sanity_checking": True}, {"is_global_zero": False}])
def test_only_the_first_process_writes_and_only_in_training(saver, after, tmp_path, state):
    saver.on_validation_end(after(0, 0.5, **state), None)
    assert not list(tmp_path.iterdir())
