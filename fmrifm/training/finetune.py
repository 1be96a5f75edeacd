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
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import Dataset, default_collate

from fmrifm.config import EncoderMode, OptimConfig
from fmrifm.data.windows import Windows
from fmrifm.model.heads import ScanClassifier
from fmrifm.model.lora import add_lora
from fmrifm.training.optim import adamw

WINDOWS = 4
"""Windows drawn from a scan in a training step."""


class LabelledScans(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Random windows of labelled scans: signal (n, t, V), repetition time, label."""

    def __init__(self, windows: Windows, label: np.ndarray, seed: int) -> None:
        self.windows = windows
        self.label = label
        self.rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, scan: int) -> tuple[Tensor, Tensor, Tensor]:
        drawn = self.rng.integers(self.windows.n_starts(scan), size=WINDOWS).tolist()
        batch = default_collate([self.windows[scan, self.windows.start(scan, number)] for number in drawn])
        return batch.signal, batch.tr_s[0], torch.tensor(float(self.label[scan]))


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
        prevalence: Share of label 1 in the training scans.
    """

    def __init__(self, classifier: ScanClassifier, optim: OptimConfig, prevalence: float) -> None:
        super().__init__()
        self.classifier = classifier
        self.optim = optim
        self.class_weight = torch.tensor([0.5 / (1 - prevalence), 0.5 / prevalence])

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Loss of one batch of scans."""
        signal, tr_s, label = batch
        weight = self.class_weight.to(label.device)[label.long()]
        loss = binary_cross_entropy_with_logits(self.classifier(signal, tr_s), label, weight=weight)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay over the fold's steps."""
        return adamw(self.classifier, self.optim, int(self.trainer.estimated_stepping_batches))
