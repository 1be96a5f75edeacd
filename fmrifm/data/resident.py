"""Scans kept whole in the memory of a device, where windows are cut out and decoded.

A loader then yields places alone, and no signal crosses from the processor to the device.

Axes: S scans, B windows, t volumes of a window, V brain voxels.
"""

import os
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from fmrifm.config import Resident
from fmrifm.data.encoding import decode_tensor
from fmrifm.data.windows import Place, Window, Windows
from fmrifm.errors import ConfigError

_AUTO_SHARE = 0.5
"""`auto` takes at most this share of the free memory; the rest is for weights and activations."""


class ResidentScans:
    """The scans of a list of windows, as stored, one after the other on a device.

    Args:
        windows: Whose scans to keep.
        device: Where to keep them.
    """

    def __init__(self, windows: Windows, device: torch.device) -> None:
        store, lengths = windows.store, _lengths(windows)
        self.steps = torch.arange(windows.volumes, device=device)
        self.first = torch.tensor([0, *lengths[:-1]], device=device).cumsum(0)
        self.tr_s = torch.tensor(windows.tr_s, dtype=torch.float32, device=device)
        self.covered = torch.stack([torch.from_numpy(store.covered(key)) for key in windows.scans]).to(device)
        kind, voxels = getattr(torch, store.encoding), self.covered.shape[1]
        self.signal = torch.empty(sum(lengths), voxels, dtype=kind, device=device)
        self.scale = torch.empty(self.covered.shape, device=device) if store.encoding == "int8" else None
        for scan, (key, rows) in enumerate(zip(windows.scans, self.signal.split(lengths), strict=True)):
            stored, scale = store.stored(key)
            rows.copy_(torch.from_numpy(stored))
            if self.scale is not None and scale is not None:
                self.scale[scan] = torch.from_numpy(scale)

    def windows(self, places: Tensor) -> Window:
        """Cut windows out: places (B, 2) on the device to the batch that a loader makes of `Windows`, bit for bit."""
        scan, start = places.unbind(dim=1)
        stored = self.signal[(self.first[scan] + start)[:, None] + self.steps]
        scale = None if self.scale is None else self.scale[scan][:, None]
        return Window(decode_tensor(stored, scale), self.covered[scan], self.tr_s[scan], scan)


class Places(Dataset[Tensor]):
    """Gives places back as tensors, where the signal is on the device already."""

    def __getitem__(self, place: Place) -> Tensor:
        return torch.tensor(place)


def resident_bytes(windows: Windows) -> int:
    """Bytes that `ResidentScans` takes: signal, coverage and, for int8, scales."""
    voxels, scans, store = len(windows.store.atlas.labels), len(windows.scans), windows.store
    small = store.encoding == "int8"
    return voxels * (sum(_lengths(windows)) * (1 if small else 2) + scans * (5 if small else 1))


def may_reside(how: Resident, needed: int, free: int, device: torch.device) -> bool:
    """Whether to keep so many bytes on a device.

    Args:
        how: What was asked for; `auto` stands for a GPU with enough memory, never for the processor: there the
            operating system keeps the files that are read often.
        needed: Bytes of the scans.
        free: Bytes that the device has left.
        device: Where.

    Raises:
        ConfigError: `always`, and they do not fit.
    """
    if how == "always" and needed > free:
        raise ConfigError(
            f"data.resident is always, but the scans need {needed / 2**30:.3g} GiB and {device} has "
            f"{free / 2**30:.3g} GiB free. Prepare the store with --encoding int8, or set data.resident to auto."
        )
    return how == "always" or (how == "auto" and device.type == "cuda" and needed <= _AUTO_SHARE * free)


def free_bytes(device: torch.device) -> int:
    """Memory that a device has left."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if (memory := Path("/proc/meminfo")).exists():
        available = next(line for line in memory.read_text().splitlines() if line.startswith("MemAvailable"))
        return 1024 * int(available.split()[1])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # elsewhere all that the machine has


def _lengths(windows: Windows) -> list[int]:
    lengths: list[int] = windows.store.scans.set_index("scan").loc[windows.scans, "n_volumes"].tolist()
    return lengths
