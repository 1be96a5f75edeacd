"""Training and validation windows of a store, split by whole subjects.

Axes: B windows.
"""

from collections.abc import Sequence
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
from lightning.fabric.utilities.distributed import DistributedSamplerWrapper
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fmrifm.config import DataConfig
from fmrifm.data.resident import Places, ResidentScans, free_bytes, may_reside, resident_bytes
from fmrifm.data.store import Store
from fmrifm.data.windows import Place, RandomPlaces, Window, Windows

_VALIDATION_WINDOWS = 4
"""Windows a held-out scan, evenly spaced: enough to rank epochs, few enough to stay quick."""


def split_subjects(scans: pd.DataFrame, validation: float, seed: int) -> tuple[list[str], list[str]]:
    """Divide subjects into training and validation, never one subject in both.

    Args:
        scans: Scan table.
        validation: Share of subjects held out; at least one is.
        seed: Seed of the draw.

    Returns:
        Sorted subjects for training and for validation.
    """
    subjects = np.array(sorted(scans["subject"].unique()))
    held = max(1, round(validation * len(subjects)))
    order = np.random.default_rng(seed).permutation(len(subjects))
    return sorted(subjects[order[held:]].tolist()), sorted(subjects[order[:held]].tolist())


class PretrainData(L.LightningDataModule):
    """Windows at random starts for training, evenly spaced ones for validation.

    Args:
        store: Where the scans are.
        train: Keys of training scans.
        validation: Keys of held-out scans.
        config: How windows are drawn and read.
        volumes: Length of a window.
        batch_size: Windows a step on one device.
        seed: Seed of starts and order.
    """

    trainer: L.Trainer

    def __init__(
        self,
        store: Store,
        train: Sequence[str],
        validation: Sequence[str],
        config: DataConfig,
        *,
        volumes: int,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.train = Windows(store, train, volumes)
        self.validation = Windows(store, validation, volumes)
        self.batch_size = batch_size
        self.config = config
        self.resident: dict[bool, ResidentScans] = {}
        self.places = RandomPlaces(self.train, config.windows_per_scan, seed)

    def setup(self, stage: str) -> None:
        """Keep all scans on the device where that is wanted and they fit.

        Raises:
            ConfigError: It is wanted in any case, and they do not fit.
        """
        parts = {True: self.train, False: self.validation}
        device, needed = self.trainer.strategy.root_device, sum(map(resident_bytes, parts.values()))
        if may_reside(self.config.resident, needed, free_bytes(device), device):
            self.resident = {training: ResidentScans(windows, device) for training, windows in parts.items()}
            if self.trainer.is_global_zero:
                kept = f"{needed / 2**30:.3g} GiB of scans are kept in the memory of {device} (data.resident)."
                Console(stderr=True, highlight=False).print(kept)

    def teardown(self, stage: str) -> None:
        """Give the memory back."""
        self.resident = {}

    def on_after_batch_transfer(self, batch: Window | Tensor, dataloader_idx: int) -> Window:
        """Turn places, shape (B, 2), into their windows; those that were read pass as they are."""
        return batch if isinstance(batch, Window) else self.resident[self.trainer.training].windows(batch)

    def train_dataloader(self) -> DataLoader[Any]:
        """Random windows, the last incomplete batch included."""
        return self._loader(self.train, sampler=self.places)

    def val_dataloader(self) -> DataLoader[Any]:
        """The same evenly spaced windows in every epoch."""
        places = [
            place
            for scan in range(len(self.validation))
            for place in self.validation.cover(scan, most=_VALIDATION_WINDOWS)
        ]
        return self._loader(self.validation, sampler=places)

    def _loader(self, windows: Windows, sampler: Sampler[Place] | list[Place]) -> DataLoader[Any]:
        data: Dataset[Any] = Places() if self.resident else windows
        if self.trainer is not None and self.trainer.world_size > 1:
            # Dealt in turn, and not shuffled once more, as Lightning would: each window then meets the same mask.
            sampler = DistributedSamplerWrapper(
                sampler, self.trainer.world_size, self.trainer.global_rank, shuffle=False
            )
        workers = 0 if self.resident else self.config.workers  # with places alone there is nothing to read ahead
        return DataLoader(
            data, batch_size=self.batch_size, sampler=sampler, num_workers=workers, persistent_workers=workers > 0
        )
