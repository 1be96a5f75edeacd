from dataclasses import replace
from functools import partial
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from fmrifm.config import DataConfig, LossConfig, Objective, OptimConfig
from fmrifm.masking import MASKERS, hidden_share
from fmrifm.training.checkpoint import build_model
from fmrifm.training.datamodule import PretrainData
from fmrifm.training.modules import PretrainModule

OFF = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")


class Seen(Callback):
    """Notes the masks and the scores of every step and epoch."""

    def __init__(self) -> None:
        self.masks: list[torch.Tensor] = []
        self.scores: list[tuple[float, float]] = []
        self.losses: list[dict[str, float]] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: PretrainModule) -> None:
        pl_module.masker.register_forward_hook(lambda masker, arguments, mask: self.masks.append(mask))

    def on_train_batch_end(self, trainer: L.Trainer, *step: Any) -> None:
        logged = trainer.callback_metrics
        self.losses.append({name: float(value) for name, value in logged.items() if name.startswith("train/loss")})

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if pl_module.masks:
            r2 = (float(trainer.callback_metrics[f"val/r2_{level}"]) for level in ("voxel", "region"))
            self.scores.append(tuple(r2))


@pytest.fixture
def data(store) -> PretrainData:
    train, held = ["s01_1", "s02_1", "s03_1"], ["s05_1"]
    return PretrainData(store, train, held, DataConfig(windows_per_scan=2), volumes=8, batch_size=4, seed=0)


def fit(
    pretrained, data, *, lr: float = 1e-3, loss: LossConfig | None = None, objective: Objective = "mask", **options: Any
) -> tuple[Seen, PretrainModule]:
    """Fit the tiny model from the same weights for two epochs."""
    masker = partial(MASKERS["random"], ratio=0.6)
    module = PretrainModule(
        pretrained.model.train(),
        masker,
        OptimConfig(lr=lr, batch_size=4),
        loss=loss or LossConfig(),
        queries=9,
        seed=5,
        objective=objective,
    )
    seen = Seen()
    options = {"max_epochs": 2, "accelerator": "cpu", "num_sanity_val_steps": 0, **dict.fromkeys(OFF, False), **options}
    L.Trainer(callbacks=[seen], **options).fit(module, datamodule=data)
    return seen, module


def test_every_step_hides_the_asked_share_and_other_tokens(pretrained, data):
    seen, module = fit(pretrained, data)
    assert [len(mask) for mask in seen.masks] == [4, 4, 4, 4]
    for mask in seen.masks:
        assert hidden_share(mask, module.model.tokenizer.pool).item() == pytest.approx(0.6, abs=0.02)
    assert len({tuple(mask[0].tolist()) for mask in seen.masks}) == 4


def test_the_masks_of_a_step_do_not_depend_on_what_was_drawn_before(pretrained, data):
    all_steps, _ = fit(pretrained, data)
    first_steps, _ = fit(pretrained, data, limit_train_batches=1)
    assert torch.equal(all_steps.masks[2], first_steps.masks[1])  # both are the first of the second epoch


def test_validation_masks_are_the_same_in_every_epoch(pretrained, data):
    seen, _ = fit(pretrained, data, lr=1e-30)
    assert seen.scores[0] == seen.scores[1]


def test_a_model_that_says_nothing_explains_nothing(pretrained, data):
    for parameter in pretrained.model.decoder.output.parameters():
        torch.nn.init.zeros_(parameter)
    seen, _ = fit(pretrained, data, lr=1e-30)
    assert seen.scores[0] == pytest.approx((0.0, 0.0), abs=1e-6)


def test_training_moves_towards_what_can_be_predicted(pretrained, data):
    seen, _ = fit(pretrained, data, lr=3e-2, max_epochs=12)
    assert seen.scores[-1] > seen.scores[0]
    assert seen.scores[-1][0] > -0.1  # random weights start far below the temporal mean


def test_each_loss_is_logged_where_more_than_one_is_on(pretrained, data):
    seen, _ = fit(pretrained, data, loss=LossConfig(voxel=0.5, region=2.0), max_epochs=1)
    for logged in seen.losses:
        assert logged.keys() == {"train/loss", "train/loss_voxel", "train/loss_region"}
        total = 0.5 * logged["train/loss_voxel"] + 2 * logged["train/loss_region"]
        assert logged["train/loss"] == pytest.approx(total)
    alone, _ = fit(pretrained, data, loss=LossConfig(voxel=0.0, connectivity=1.0), max_epochs=1)
    assert alone.losses[0].keys() == {"train/loss"}


@pytest.fixture
def foreseeing(pretrained):
    """The tiny model with a head that predicts, quiet at its start."""
    torch.manual_seed(3)
    return replace(
        pretrained, model=build_model(pretrained.grid, pretrained.atlas, pretrained.tokens, pretrained.sizes, "next")
    )


@pytest.mark.parametrize("objective", ["next", "mask+next"])
def test_skill_is_that_of_the_past_mean_over_the_last_volume(foreseeing, data, objective):
    """A quiet head expects the mean of the four volumes of the past."""
    _, module = fit(foreseeing, data, lr=1e-30, objective=objective)
    held = data.validation
    windows = torch.stack([held[place].signal for place in held.cover(0, most=4)])
    left, persistence = (windows[:, :4].mean(dim=1) - windows[:, 4], windows[:, 3] - windows[:, 4])
    expected = 1 - left.square().sum() / persistence.square().sum()
    assert float(module.trainer.callback_metrics["val/skill_next"]) == pytest.approx(float(expected), abs=1e-4)


def test_the_loss_is_that_of_the_masks_and_half_that_of_what_comes_next(foreseeing, data):
    alone, _ = fit(foreseeing, data, objective="mask", lr=1e-30)
    seen, _ = fit(foreseeing, data, objective="mask+next")
    assert set(seen.losses[0]) == {"train/loss", "train/loss_next"}
    first, of_masks = seen.losses[0], alone.losses[0]["train/loss"]
    assert first["train/loss"] == pytest.approx(of_masks + 0.5 * first["train/loss_next"], rel=1e-5)


def test_who_only_predicts_draws_no_masks(foreseeing, data):
    seen, module = fit(foreseeing, data, objective="next")
    assert not seen.masks
    assert all(parameter.grad is None for parameter in module.model.decoder.parameters())
    assert "val/r2_voxel" not in module.trainer.callback_metrics
