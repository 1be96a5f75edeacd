"""Whom attribution explains: scans, their windows, and the classifier that never saw each subject.

Axes: S scans, n windows of a scan, t volumes, V brain voxels, R regions on the grid.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from fmrifm.attribution.ledger import Ledger
from fmrifm.data.quality import region_coverage
from fmrifm.data.store import Store
from fmrifm.data.windows import Window, Windows
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained
from fmrifm.training.classifiers import FittedFold


@dataclass(frozen=True, eq=False)
class Cohort:
    """Scans to explain; what is computed for one of them is kept in the ledger."""

    store: Store
    pretrained: Pretrained
    scans: pd.DataFrame
    """One row a scan: scan, subject, site, and of labelled ones label; with judges also fold."""
    windows_per_scan: int | None
    ledger: Ledger
    seed: int

    @cached_property
    def windows(self) -> Windows:
        """Where the windows are read."""
        return Windows(self.store, self.scans["scan"].tolist(), self.pretrained.tokens.window_volumes)

    @cached_property
    def region_of_voxel(self) -> NDArray[np.int64]:
        """Region number of each brain voxel, shape (V,); R where a voxel belongs to none."""
        return self.pretrained.model.tokenizer.region_of_voxel.cpu().numpy()

    @cached_property
    def voxels(self) -> NDArray[np.int64]:
        """Voxels of each region, shape (R,)."""
        return np.bincount(self.region_of_voxel, minlength=self.regions + 1)[: self.regions]

    @property
    def regions(self) -> int:
        """R."""
        return self.pretrained.model.tokenizer.regions

    @cached_property
    def coverage(self) -> NDArray[np.float64]:
        """Share of each region's voxels that each scan covers, shape (S, R)."""
        numbers = np.arange(self.regions)
        return np.stack(
            [region_coverage(self.region_of_voxel, numbers, self.store.covered(key)) for key in self.scans["scan"]]
        )

    @cached_property
    def tsnr(self) -> NDArray[np.float64] | None:
        """Median temporal signal-to-noise of each region's voxels, mean over scans, shape (R,); None without means."""
        region, found = self.region_of_voxel, []
        for key in self.scans["scan"]:
            covered = self.store.covered(key)
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio = np.where(covered, self.store.mean(key) / self.store.deviation(key), np.nan)
            if np.nanmedian(ratio) >= 1:  # else the mean was removed
                found.append(pd.Series(ratio).groupby(region).median().reindex(np.arange(self.regions)).to_numpy())
        return np.nanmean(found, axis=0) if found else None

    def window_batch(self, scan: int) -> Window:
        """All windows of a scan, as a batch."""
        return self.windows.batch(self._places(scan))

    def signal(self, scan: int) -> tuple[Tensor, Tensor]:
        """All windows of a scan as a batch of one scan, (1, n, t, V), and its repetition time, (1,)."""
        batch = self.window_batch(scan)
        return batch.signal[None], batch.tr_s[:1]

    def each(
        self, what: str, compute: Callable[[int], Mapping[str, NDArray[Any]]], of: NDArray[np.intp] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Compute something for scans, all by default, with progress; what the ledger holds is not computed again.

        Args:
            what: Name of the computation, for the ledger and for the progress bar.
            compute: From the position of a scan to named arrays.
            of: Positions of the scans.

        Returns:
            The arrays by name, stacked over scans; a scan left out holds NaN.
        """
        chosen = np.arange(len(self.scans)) if of is None else of
        found = {
            int(scan): self.ledger.get(what, self.scans["scan"].iloc[scan], partial(compute, int(scan)))
            for scan in track(chosen, description=what.replace("_", " ").capitalize(), console=Console(stderr=True))
        }
        first = next(iter(found.values()))
        empty = {name: np.full_like(values, np.nan, dtype=float) for name, values in first.items()}
        rows = [found.get(scan, empty) for scan in range(len(self.scans))]
        return {name: np.stack([row[name] for row in rows]) for name in first}

    def _places(self, scan: int) -> Iterator[tuple[int, int]]:
        return iter(self.windows.cover(scan, self.windows_per_scan))


@dataclass(frozen=True, eq=False)
class Judges:
    """Who explains a scan of the cohort: the fold's classifier that never saw its subject."""

    folds: tuple[FittedFold, ...]
    number: NDArray[np.intp]
    """Position among the folds of each scan's judge, shape (S,)."""
    shuffled: tuple[tuple[nn.Linear, ...], ...]
    """For each fold, linear layers on the same encoder that were fitted to shuffled labels; empty where the encoder
    itself was trained on labels, so that no layer could undo that."""
    random: ScanClassifier
    """A network of the same kind whose weights are in random order."""
    random_heads: tuple[nn.Linear, ...]
    """Further linear layers on it."""

    def of(self, scan: int) -> ScanClassifier:
        """The classifier that judges a scan."""
        return self.folds[self.number[scan]].classifier

    def shuffled_of(self, scan: int) -> tuple[nn.Linear, ...]:
        """Linear layers of the same fold that were fitted to shuffled labels."""
        return self.shuffled[self.number[scan]]


def generator_of(seed: int, *parts: int) -> np.random.Generator:
    """A stream of its own for each scan or purpose, so that a run that goes on draws the same."""
    return np.random.default_rng([seed, *parts])
