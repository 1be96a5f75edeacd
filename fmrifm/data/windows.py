"""Windows: consecutive volumes of one scan, as tensors.

Scrubbing cuts a scan into segments; a window lies inside one of them.

Axes: t volumes of a window, V brain voxels.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice, repeat
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler, default_collate

from fmrifm.data.store import Store


class Window(NamedTuple):
    """One window, or a batch of them."""

    signal: Tensor
    """z-scored BOLD, shape (t, V), float32."""
    covered: Tensor
    """True where the scan has signal, shape (V,)."""
    tr_s: Tensor
    """Repetition time in seconds."""
    scan: Tensor
    """Position of the scan in the list it was drawn from; negative where the window is a repetition that must not
    count (`Share`)."""


Place = tuple[int, int]
"""Position of a scan in a list of scans, and the window's first volume."""


class Windows(Dataset[Window]):
    """Reads windows of chosen scans from a store.

    Args:
        store: Where the scans are.
        scans: Their keys.
        volumes: Length of a window.
    """

    def __init__(self, store: Store, scans: Sequence[str], volumes: int) -> None:
        self.store = store
        self.scans = list(scans)
        self.volumes = volumes
        table = store.scans.set_index("scan").loc[self.scans]
        self.segments: list[list[int]] = table["segments"].tolist()
        self.tr_s = table["tr_s"].astype(float).tolist()

    def __len__(self) -> int:
        return len(self.scans)

    def part(self, positions: Sequence[int]) -> "Windows":
        """The same of some of the scans, by position."""
        return Windows(self.store, [self.scans[number] for number in positions], self.volumes)

    def __getitem__(self, place: Place) -> Window:
        scan, start = place
        key = self.scans[scan]
        return Window(
            signal=torch.from_numpy(self.store.window(key, start, self.volumes)),
            covered=torch.from_numpy(self.store.covered(key)),
            tr_s=torch.tensor(self.tr_s[scan], dtype=torch.float32),
            scan=torch.tensor(scan),
        )

    def batch(self, places: Iterable[Place]) -> Window:
        """Read windows, one after the other, as one batch."""
        return Window(*default_collate([self[place] for place in places]))

    def n_starts(self, scan: int) -> int:
        """At how many volumes of a scan a window can start."""
        return sum(length - self.volumes + 1 for _, length in self._long_enough(scan))

    def start(self, scan: int, number: int) -> int:
        """First volume of the `number`-th of all windows of a scan, counted from 0."""
        for first, length in self._long_enough(scan):
            if number < (starts := length - self.volumes + 1):
                return first + number
            number -= starts
        raise IndexError(f"scan {self.scans[scan]} has {self.n_starts(scan)} windows of {self.volumes} volumes")

    def _long_enough(self, scan: int) -> list[tuple[int, int]]:
        return _long_enough(self.segments[scan], self.volumes)

    def cover(self, scan: int, most: int | None = None) -> list[Place]:
        """Windows that cover a scan, as `covering` says.

        Args:
            scan: Position of the scan.
            most: At most so many of them, evenly spaced.
        """
        starts = covering(self.segments[scan], self.volumes)
        if most is not None and most < len(starts):
            starts = [starts[round(i)] for i in np.linspace(0, len(starts) - 1, most)]
        return [(scan, start) for start in starts]


def covering(segments: Sequence[int], volumes: int) -> list[int]:
    """First volumes of windows that cover a scan.

    The last of a segment overlaps its neighbour rather than drop the tail; what lies in segments shorter than a
    window is in none.

    Args:
        segments: Lengths of the stretches without a gap, in volumes.
        volumes: Length of a window.
    """
    starts = []
    for first, length in _long_enough(segments, volumes):
        last = first + length - volumes
        starts += [*range(first, last, volumes), last]
    return starts


def _long_enough(segments: Sequence[int], volumes: int) -> list[tuple[int, int]]:
    """First volume and length of each segment that holds a window."""
    firsts = accumulate(segments[:-1], initial=0)
    return [(first, length) for first, length in zip(firsts, segments, strict=True) if length >= volumes]


class RandomPlaces(Sampler[Place]):
    """Draws windows at random starts, equally many from each scan, in random order.

    An epoch's windows depend on the seed and the epoch alone.

    Args:
        windows: What to draw from.
        per_scan: Windows of each scan in an epoch.
        seed: Seed of starts and order.
    """

    def __init__(self, windows: Windows, per_scan: int, seed: int) -> None:
        self.windows = windows
        self.per_scan = per_scan
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.windows) * self.per_scan

    def __iter__(self) -> Iterator[Place]:
        rng = np.random.default_rng([self.seed, self.epoch])
        scans = rng.permutation(np.repeat(np.arange(len(self.windows)), self.per_scan))
        for scan in scans.tolist():
            yield scan, self.windows.start(scan, int(rng.integers(self.windows.n_starts(scan))))


class Share(Sampler[Place]):
    """One process's share of places: every `of`-th of them, from the `rank`-th on.

    All shares are equally long. Where places do not suffice the last one is repeated with its scan counted from
    the end of the list, a negative number: such a window is read, and must not count.

    Args:
        places: What to share.
        n_scans: Scans in the list that places refer to.
        rank: Number of the process, from 0.
        of: Processes.
    """

    def __init__(self, places: Sampler[Place] | Sequence[Place], n_scans: int, rank: int, of: int) -> None:
        self.places = places
        self.n_scans = n_scans
        self.rank = rank
        self.of = of
        self.epoch = 0
        self.begun = {0: 0}
        """Epoch that was begun before, and how many places of this share it has had: it goes on after them."""

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self.epoch = epoch
        if isinstance(self.places, RandomPlaces):
            self.places.set_epoch(epoch)

    def __len__(self) -> int:
        return -(-len(self.places) // self.of)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Place]:
        return islice(self._even(), self.rank + self.begun.get(self.epoch, 0) * self.of, None, self.of)

    def _even(self) -> Iterator[Place]:
        last = None
        for last in self.places:
            yield last
        if last is not None:
            yield from repeat((last[0] - self.n_scans, last[1]), -len(self.places) % self.of)  # type: ignore[arg-type]
