"""Fine-tuning by gradient on labelled scans, from a head that was fitted first.

Fitting the head before the encoder moves keeps the features from being distorted (Kumar et al.
2022, arXiv:2202.10054).

Axes: S scans of a batch, n windows of a scan, t volumes, V brain voxels.
"""

from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset, default_collate

from fmrifm.config import EncoderMode, OptimConfig
from fmrifm.data.windows import Place, Windows
from fmrifm.model.heads import ScanClassifier, class_logits
from fmrifm.model.lora import add_lora
from fmrifm.training.optim import adamw

WINDOWS = 4
"""Windows drawn from a scan in a training step."""


LabelledBatch = tuple[Tensor, Tensor, Tensor]
"""Signal (S, n, t, V), repetition times (S,), labels (S,)."""
WATCHED = "inner/loss"
"""Loss on the scans of an inner fold, which says when to stop."""


class LabelledScans(Dataset[LabelledBatch]):
    """Windows of labelled scans: signal (n, t, V), repetition time, label.

    Args:
        windows: The scans.
        label: Their labels, whole numbers from 0.
        rng: Draws windows anew each time; none takes evenly spaced ones.
    """

    def __init__(self, windows: Windows, label: np.ndarray, rng: np.random.Generator | None) -> None:
        self.windows = windows
        self.label = label
        self.rng = rng

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, scan: int) -> LabelledBatch:
        batch = default_collate([self.windows[place] for place in self._places(scan)])
        return batch.signal, batch.tr_s[0], torch.tensor(int(self.label[scan]))

    def _places(self, scan: int) -> list[Place]:
        if self.rng is not None:
            drawn = self.rng.integers(self.windows.n_starts(scan), size=WINDOWS).tolist()
            return [(scan, self.windows.start(scan, number)) for number in drawn]
        spaced = self.windows.cover(scan, WINDOWS)
        return [spaced[number % len(spaced)] for number in range(WINDOWS)]  # a short scan has fewer, some twice


def choose_trained(classifier: ScanClassifier, mode: EncoderMode, lora_rank: int, generator: Generator) -> None:
    """Freeze what the mode leaves alone; pooling and linear layer always learn.

    Args:
        classifier: Changed in place.
        mode: `frozen`, `full` or `lora`.
        lora_rank: Rank of the low-rank changes.
        generator: Draws their start.
    """
    classifier.autoencoder.requires_grad_(False)  # the decoder too, which a classifier does not use
    if mode == "full":
        classifier.autoencoder.encoder.requires_grad_()
    elif mode == "lora":
        add_lora(classifier.autoencoder.encoder, lora_rank, generator)


class FinetuneModule(L.LightningModule):
    """Cross-entropy of a scan classifier, classes balanced.

    Args:
        classifier: The network; what of it is trained has been chosen.
        optim: Optimiser settings.
        count: Training scans of each class, shape (C,).
    """

    class_weight: Tensor

    def __init__(self, classifier: ScanClassifier, optim: OptimConfig, count: np.ndarray) -> None:
        super().__init__()
        self.classifier = classifier
        self.optim = optim
        weight = torch.tensor(count.sum() / (len(count) * count), dtype=torch.float32)
        self.register_buffer("class_weight", weight, persistent=False)

    def training_step(self, batch: LabelledBatch) -> Tensor:
        """Loss of one batch of scans."""
        loss = self._loss(batch)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: LabelledBatch) -> None:
        """The same of scans that are not trained on; each class weighs as in training."""
        self.log(WATCHED, self._loss(batch), prog_bar=True, batch_size=len(batch[-1]), on_epoch=True)

    def _loss(self, batch: LabelledBatch) -> Tensor:
        signal, tr_s, label = batch
        lost = cross_entropy(class_logits(self._said(signal, tr_s)), label, reduction="none")
        return (lost * self.class_weight[label]).mean()

    def _said(self, signal: Tensor, tr_s: Tensor) -> Tensor:
        return self.classifier(signal, tr_s)

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay over the fold's steps."""
        return adamw(self.classifier, self.optim, int(self.trainer.estimated_stepping_batches))
