"""Training and validation windows of a store, split by whole subjects.

Axes: B windows.
"""

from collections.abc import Sequence
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fmrifm.config import DataConfig
from fmrifm.data.resident import Places, ResidentScans, free_bytes, may_reside, resident_bytes
from fmrifm.data.store import Store
from fmrifm.data.windows import Place, RandomPlaces, Share, Window, Windows
from fmrifm.errors import ConfigError

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


def device_share(batch_size: int, trainer: L.Trainer) -> int:
    """Windows that one device takes at once, so that a step has `batch_size` of them over all devices and parts.

    Raises:
        ConfigError: They cannot be dealt evenly.
    """
    devices, parts = trainer.world_size, trainer.accumulate_grad_batches
    if batch_size % (together := devices * parts):
        below = batch_size // together * together
        would = f"{below} or {below + together}" if below else f"{together}"
        raise ConfigError(
            f"optim.batch_size is {batch_size}; expected a multiple of {together}, for {devices} device(s) that take "
            f"{parts} turn(s) a step (trainer.accumulate_grad_batches). {would} would do."
        )
    return batch_size // together


class PretrainData(L.LightningDataModule):
    """Windows at random starts for training, evenly spaced ones for validation.

    Args:
        store: Where the scans are.
        train: Keys of training scans.
        validation: Keys of held-out scans.
        config: How windows are drawn and read.
        volumes: Length of a window.
        batch_size: Windows a step, over all devices.
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
        """Random windows, the last incomplete batch included; an epoch that was interrupted goes on where it was."""
        share = self._share(self.train, self.places)
        loader = self._loader(self.train, share)
        if self.trainer is not None and (fit := self.trainer.fit_loop).restarting:
            epoch, done = self.trainer.current_epoch, fit.epoch_loop.batch_progress.current.ready
            if done < len(loader):  # else the epoch was complete
                share.begun = {epoch: done * self.windows_at_once}
            share.set_epoch(epoch)  # Lightning does so once workers have begun to read
        return loader

    def val_dataloader(self) -> DataLoader[Any]:
        """The same evenly spaced windows in every epoch."""
        places = [
            place
            for scan in range(len(self.validation))
            for place in self.validation.cover(scan, most=_VALIDATION_WINDOWS)
        ]
        return self._loader(self.validation, self._share(self.validation, places))

    @property
    def windows_at_once(self) -> int:
        """Windows that one device takes at once."""
        return self.batch_size if self.trainer is None else device_share(self.batch_size, self.trainer)

    def _share(self, windows: Windows, places: Sampler[Place] | list[Place]) -> Share:
        rank, of = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        return Share(places, len(windows), rank, of)

    def _loader(self, windows: Windows, share: Share) -> DataLoader[Any]:
        data: Dataset[Any] = Places() if self.resident else windows
        workers = 0 if self.resident else self.config.workers  # with places alone there is nothing to read ahead
        return DataLoader(
            data,
            batch_size=self.windows_at_once,
            sampler=share,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
