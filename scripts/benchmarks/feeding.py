"""What a training step waits for: windows read here, read ahead by a worker, or cut from scans on the device."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contestants import Sizes, brain, recipe
from table import Figures

from fmrifm.config import DataConfig
from fmrifm.data.resident import ResidentScans
from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter
from fmrifm.training.datamodule import PretrainData

SCANS, VOLUMES = 8, 176
BATCH = 8


def waiting(device: torch.device, sizes: Sizes) -> Figures:
    """Windows a second of each way, and the share of a step that is spent waiting for it."""
    step = recipe(device, sizes, BATCH, "float32").step
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        store = _store(Path(folder) / "s.zarr", sizes)
        ways = {"read here": {}, "read ahead by a worker": {"workers": 1}, "on the device": {"resident": "always"}}
        for name, settings in ways.items():
            data = PretrainData(
                store, store.scans["scan"].tolist(), [], DataConfig(windows_per_scan=BATCH, **settings),
                volumes=sizes.recipe_tokens.window_volumes, batch_size=BATCH, seed=0,
            )  # fmt: skip
            if "resident" in settings:
                data.resident = {True: ResidentScans(data.train, device)}
            list(_batches(data, device))  # the page cache, and the worker's start
            start = time.perf_counter()
            windows = sum(len(batch.signal) for batch in _batches(data, device))
            figures[f"windows {name} (1/s)"] = windows / (time.perf_counter() - start)
            figures[f"share of a step of {BATCH} windows spent waiting, {name}"] = _waiting(data, device, step)
    return figures


def _waiting(data: PretrainData, device: torch.device, step: Any, steps: int = 6) -> float:
    """Share of the time of some steps, after the first, that passes before a batch is there."""
    batches, waited = _batches(data, device), []
    for _ in range(steps):
        start = time.perf_counter()
        next(batches)
        there = time.perf_counter()
        step()
        _wait_for(device)
        waited.append((there - start, time.perf_counter() - start))
    waiting, whole = np.array(waited[1:]).sum(axis=0)
    return float(waiting / whole)


def _batches(data: PretrainData, device: torch.device) -> Iterator[Any]:
    for batch in data.train_dataloader():
        if data.resident:
            yield data.resident[True].windows(batch.to(device))
        else:
            yield type(batch)(*(part.to(device) for part in batch))
        _wait_for(device)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _store(path: Path, sizes: Sizes) -> Store:
    grid, atlas = brain(sizes)
    rng, voxels = np.random.default_rng(0), len(grid.voxels)
    with StoreWriter(path, grid=grid, atlas=atlas, settings={}) as writer:
        for scan in range(SCANS):
            signal = rng.standard_normal((VOLUMES, voxels), np.float32)
            writer.add({"scan": f"s{scan}", "tr_s": 2.0}, signal, np.ones(voxels), np.ones(voxels))
    return Store(path)
