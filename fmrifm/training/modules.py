"""The Lightning module of pretraining: it joins parts that work, and are tested, without Lightning."""

from collections.abc import Callable
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from fmrifm.config import LossConfig, Objective, OptimConfig
from fmrifm.data.windows import Window
from fmrifm.masking import Masker, Pool, hidden_share
from fmrifm.model.draws import Draw, draw, draw_tokens
from fmrifm.model.explained import squares
from fmrifm.model.foresight import Forecast, forecast_errors
from fmrifm.model.losses import masked_mse, reconstruction_loss
from fmrifm.model.mae import MaskedAutoencoder, Reconstruction
from fmrifm.training.optim import adamw
from fmrifm.training.sharding import shard

_VALIDATION_SEED = 20_251_100
"""Validation masks are the same in every epoch and run, so that their scores can be compared."""


class PretrainModule(L.LightningModule):
    """Masked reconstruction of windows, prediction of their end, or both.

    Args:
        model: What is trained.
        masker: Builds the masking strategy over the model's pool.
        optim: Optimiser settings.
        loss: Weights of the losses.
        queries: Hidden tokens predicted in a training step.
        seed: Seed of masks and draws, which differ between windows, epochs and steps, however many processes there are.
        objective: What is learnt.
        next_weight: Weight of the prediction beside the losses.
    """

    generator: torch.Generator

    def __init__(
        self,
        model: MaskedAutoencoder,
        masker: Callable[[Pool], Masker],
        optim: OptimConfig,
        *,
        loss: LossConfig,
        queries: int,
        seed: int,
        objective: Objective = "mask",
        next_weight: float = 0.5,
    ) -> None:
        super().__init__()
        self.model = model
        self.build_masker = masker
        self.masker = masker(model.tokenizer.pool)  # a submodule: it moves with the model, and its state is resumed
        self.optim = optim
        self.loss = loss
        self.queries = queries
        self.seed = seed
        self.masks, self.foresees = "mask" in objective, "next" in objective
        self.next_weight = next_weight

    def configure_model(self) -> None:
        """Share out the weights, where the strategy is to; Lightning may ask more than once."""
        if self.device_mesh is not None and not isinstance(self.model, FSDPModule):
            shard(self.model, self.device_mesh)

    def on_fit_start(self) -> None:
        """Draw masks on the device."""
        self.generator = torch.Generator(self.device)

    def training_step(self, batch: Window, batch_idx: int) -> Tensor:
        """Loss of the drawn hidden tokens: a mean over the windows of all processes, whose gradients are averaged."""
        # Every step has a seed of its own, so that a resumed run needs no state of any process.
        step, part = divmod(batch_idx, self.trainer.accumulate_grad_batches)
        seeds = np.random.SeedSequence([self.seed, self.current_epoch, step])
        self.generator.manual_seed(int(seeds.generate_state(1)[0]))
        losses = [self._masked_loss(batch, part)] if self.masks else []
        losses += [self.next_weight * self._next_loss(batch, part)] if self.foresees else []
        loss = torch.stack(losses).sum()
        self.log("train/loss", self._total(loss), prog_bar=True)
        return loss * self.trainer.world_size

    def _masked_loss(self, batch: Window, part: int) -> Tensor:
        """Reconstruct drawn hidden tokens."""
        hidden = self.masker(self.optim.batch_size, self.generator)
        drawn = draw_tokens(hidden, self.generator, self.queries).rows(self._ours(len(batch.signal), part))
        reconstruction = self._reconstruct(batch, drawn)
        loss, parts = reconstruction_loss(reconstruction, self.model.tokenizer, self.loss, self._total)
        if len(parts) > 1:
            self.log_dict({f"train/loss_{name}": self._total(part) for name, part in parts.items()})
        self.log("train/hidden_share", hidden_share(hidden, self.model.tokenizer.pool))
        if self.masker.learns:
            self._tell_masker(reconstruction)
        return loss

    def _next_loss(self, batch: Window, part: int) -> Tensor:
        """Predict the next volumes of drawn chunks."""
        any_chunk = torch.ones_like(self._chunks(self.optim.batch_size), dtype=torch.bool)
        drawn = draw(any_chunk, self.queries, self.generator)
        forecast = self._foresee(batch, drawn[self._ours(len(batch.signal), part)])
        loss = masked_mse(forecast.prediction, forecast.target, forecast.weight, self._total)
        self.log("train/loss_next", self._total(loss))
        return loss

    @torch.no_grad()
    def _tell_masker(self, reconstruction: Reconstruction) -> None:
        """Let the masker know, on every process the same, how well each region was predicted on all of them."""
        parts = squares(reconstruction, self.model.tokenizer)
        sums_2R = torch.stack([parts.voxel_left.sum(dim=0), parts.voxel_total.sum(dim=0)])
        sums_2R = self._total(sums_2R)
        if sums_2R.isfinite().all():
            self.masker.update(*sums_2R)

    def rehearse(self, batch: Window) -> None:
        """Compute a gradient on some windows, as a step does, alone and without effect, to see whether it fits."""
        windows, made = len(batch.signal), []
        if self.masks:
            drawn = draw_tokens(self.masker(windows, self.generator), self.generator, self.queries)
            made.append(self._reconstruct(batch, drawn).prediction.sum())
        if self.foresees:
            made.append(self._foresee(batch, self._chunks(windows)[:, : self.queries]).prediction.sum())
        torch.stack(made).sum().backward()
        self.zero_grad(set_to_none=True)

    def on_validation_epoch_start(self) -> None:
        """Start the same masks and empty sums."""
        self._validation = torch.Generator(self.device).manual_seed(_VALIDATION_SEED)
        self._sums = torch.zeros(4, device=self.device)
        self._next_sums = torch.zeros(2, device=self.device)

    def validation_step(self, batch: Window) -> None:
        """Predict as much as every window has hidden, and all chunks' next volumes; add up what is left unexplained."""
        if self.masks:
            windows = self.optim.batch_size // self.trainer.accumulate_grad_batches
            hidden = self.build_masker(self.model.tokenizer.pool)(windows, self._validation)
            drawn = draw_tokens(hidden, self._validation).rows(self._ours(len(batch.signal)))
            parts = squares(self._reconstruct(batch, drawn), self.model.tokenizer)
            self._sums += torch.stack([part.sum() for part in parts])
        if self.foresees:
            self._next_sums += forecast_errors(self._foresee(batch, self._chunks(len(batch.signal))))[:, 0]

    def on_validation_epoch_end(self) -> None:
        """R2 against the trivial predictor, and skill over persistence, over all held-out windows of all processes."""
        if self.masks:
            left, total, region_left, region_total = self._total(self._sums)
            self.log("val/r2_voxel", 1 - left / total, prog_bar=True, sync_dist=True)
            self.log("val/r2_region", 1 - region_left / region_total, prog_bar=True, sync_dist=True)
        if self.foresees:
            ours, persistence = self._total(self._next_sums)
            self.log("val/skill_next", 1 - ours / persistence, prog_bar=True, sync_dist=True)

    def _ours(self, windows: int, part: int = 0) -> slice:
        """Of what was drawn for a step on all processes, what our windows of its `part`-th turn take.

        A loader deals windows to processes in turn, so masks do not depend on how many there are.
        """
        of, parts = self.trainer.world_size, self.trainer.accumulate_grad_batches
        first = part * (self.optim.batch_size // parts) + self.global_rank
        return slice(first, first + windows * of, of)

    def _chunks(self, windows: int) -> Tensor:
        """All chunks of so many windows, shape (B, K)."""
        return torch.arange(len(self.model.tokenizer.region), device=self.device).expand(windows, -1)

    def _reconstruct(self, batch: Window, drawn: Draw) -> Reconstruction:
        """Predict in float32; windows that only fill up a share do not count."""
        reconstruction = self.model(batch.signal, batch.covered, batch.tr_s, drawn)
        counts = reconstruction.weight & (batch.scan >= 0)[:, None, None]
        return reconstruction._replace(prediction=reconstruction.prediction.float(), weight=counts)

    def _foresee(self, batch: Window, chunk: Tensor) -> Forecast:
        """As `_reconstruct`, of the volumes that come next."""
        forecast = self.model.foresee(batch.signal, batch.covered, batch.tr_s, chunk)
        counts = forecast.weight & (batch.scan >= 0)[:, None, None]
        return forecast._replace(prediction=forecast.prediction.float(), weight=counts)

    def _total(self, values: Tensor) -> Tensor:
        """Add up over all processes, without a gradient."""
        return self.trainer.strategy.reduce(values.detach().clone(), reduce_op="sum")

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay over all steps of the run."""
        steps = int(self.trainer.estimated_stepping_batches)
        # To count them Lightning opens the loader before it knows where a resumed run goes on: open it again then.
        self.trainer.fit_loop._combined_loader = None
        return adamw(self.model, self.optim, steps)
