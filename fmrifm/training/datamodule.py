"""Training and validation windows of a store, split by whole subjects."""

from collections.abc import Sequence

import lightning as L
import numpy as np
import pandas as pd
from torch.utils.data import DataLoader

from fmrifm.config import DataConfig
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
        self.workers = config.workers
        self.places = RandomPlaces(self.train, config.windows_per_scan, seed)

    def train_dataloader(self) -> DataLoader[Window]:
        """Random windows, the last incomplete batch included."""
        return self._loader(self.train, sampler=self.places)

    def val_dataloader(self) -> DataLoader[Window]:
        """The same evenly spaced windows in every epoch."""
        places = [
            place
            for scan in range(len(self.validation))
            for place in self.validation.cover(scan, most=_VALIDATION_WINDOWS)
        ]
        return self._loader(self.validation, sampler=places)

    def _loader(self, windows: Windows, sampler: RandomPlaces | list[Place]) -> DataLoader[Window]:
        return DataLoader(
            windows,
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
        )
