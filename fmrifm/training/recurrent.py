"""Fine-tuning of a recurrent head over all windows of a scan, by one of the ways to give credit in time.

Axes: S scans of a batch, n windows of a scan, t volumes, V brain voxels, E edges, C classes.
"""

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, TensorDataset, default_collate

from fmrifm.cerebellum.credit import CreditReport, ScanHead, scan_backward
from fmrifm.cerebellum.synthesiser import Synthesiser
from fmrifm.config import Credit, OptimConfig
from fmrifm.data.windows import Windows
from fmrifm.errors import ConfigError
from fmrifm.model.heads import ScanClassifier, class_logits
from fmrifm.model.recurrent import RecurrentPooling, there
from fmrifm.training.finetune import FinetuneModule, LabelledBatch

_LR_SYNTHESISER = 1e-3


class WholeScans(Dataset[LabelledBatch]):
    """Labelled scans: all windows that cover one, (n, t, V), repetition time, label."""

    def __init__(self, windows: Windows, label: np.ndarray) -> None:
        self.windows = windows
        self.label = label

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, scan: int) -> LabelledBatch:
        batch = self.windows.batch(self.windows.cover(scan))
        return batch.signal, batch.tr_s[0], torch.tensor(int(self.label[scan]))


def summarised_scans(summaries: Tensor, windows: Windows, label: np.ndarray) -> Dataset[Any]:
    """The same where the encoder stays as it is: what pooling said of each window, (n, E), in its place."""
    return TensorDataset(summaries, torch.tensor(windows.tr_s), torch.from_numpy(label))


def padded(scans: list[LabelledBatch]) -> LabelledBatch:
    """One batch of scans; shorter ones end in frames of 0, which are not there."""
    frames, tr_s, label = zip(*scans, strict=True)
    return pad_sequence(list(frames), batch_first=True), default_collate(list(tr_s)), default_collate(list(label))


class RecurrentModule(FinetuneModule):
    """Balanced cross-entropy of a classifier with recurrent pooling, by a step of several backward passes.

    Args:
        classifier: The network; what of it is trained has been chosen.
        optim: Optimiser settings.
        count: Training scans of each class, shape (C,).
        credit: How credit is given.
        horizon: Windows of a stretch.
        summarised: Whether frames are what pooling said of windows, rather than their signal.
    """

    def __init__(
        self,
        classifier: ScanClassifier,
        optim: OptimConfig,
        count: np.ndarray,
        *,
        credit: Credit,
        horizon: int,
        summarised: bool,
    ) -> None:
        super().__init__(classifier, optim, count)
        self.automatic_optimization = False
        self.credit = credit
        self.horizon = horizon
        self.summarised = summarised
        self.synthesiser = self._synthesiser(len(count)) if credit == "tbptt_sg" else None

    @property
    def pooling(self) -> RecurrentPooling:
        """The pooling that learns."""
        return cast("RecurrentPooling", self.classifier.pooling)

    def _synthesiser(self, classes: int) -> Synthesiser:
        state = self.pooling.recurrence.start(1)
        return Synthesiser(state.shape[1], ctx_dim=classes + 1)  # told the label and the time

    def on_fit_start(self) -> None:
        """Refuse several processes: gradients of backward passes inside a step would not be shared.

        Raises:
            ConfigError: There are several.
        """
        if (processes := self.trainer.world_size) > 1:
            raise ConfigError(f"trainer.devices: recurrent pooling learns in 1 process, not {processes}. Set it to 1.")

    def training_step(self, batch: LabelledBatch) -> Tensor:
        """One step of one batch of scans."""
        optimizers = self._optimizers()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = self.give_credit(batch).loss
        for optimizer in optimizers:
            optimizer.step()
        self.lr_schedulers().step()  # type: ignore[union-attr]
        self.log("train/loss", loss, prog_bar=True)
        return torch.tensor(loss)

    def give_credit(self, batch: LabelledBatch) -> CreditReport:
        """Add the gradients of one batch to the parameters' `grad`."""
        frames, tr_s, label = batch
        return scan_backward(
            lambda some: self.pooling.embed(some if self.summarised else self.classifier.summaries(some, tr_s)),
            ScanHead(self.pooling.recurrence, lambda output: class_logits(self.classifier.linear(output))),
            frames,
            there(frames),
            label,
            self.credit,
            weight=self.class_weight[label],
            horizon=self.horizon,
            synthesiser=self.synthesiser,
        )

    def _optimizers(self) -> list[Any]:
        found = self.optimizers()
        return found if isinstance(found, list) else [found]

    def _said(self, frames: Tensor, tr_s: Tensor) -> Tensor:
        if self.summarised:
            return self.classifier.linear(self.pooling.vectorise(frames))
        return super()._said(frames, tr_s)

    def configure_optimizers(self) -> Any:
        """AdamW as elsewhere, and a plain Adam for the synthesiser."""
        found = [super().configure_optimizers()]
        if self.synthesiser is not None:
            found.append({"optimizer": torch.optim.Adam(self.synthesiser.parameters(), lr=_LR_SYNTHESISER)})
        return found
