"""What a window costs from a store, from a raw memory map and from a .nii.gz, and what opening a store costs.

    python scripts/benchmarks/loader.py [--json] [--large 50000]

A scan has the size of ADHD-200's Athena scans: (49, 58, 47) voxels at 4 mm, 176 volumes. All files are
in the page cache. Axes: T volumes, V brain voxels.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import torch
import zarr

sys.path.insert(0, str(Path(__file__).parent))
from table import Figures, medians_ms, parser, show

from fmrifm.atlas import Atlas
from fmrifm.data.grid import Grid, mni_grid
from fmrifm.data.journal import Entry, Journal
from fmrifm.data.shards import read_rows
from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter

VOLUMES = 176
WINDOW = 24
SCANS = 12


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "")
    options.add_argument("--large", type=int, default=50_000, help="scans of the large store")
    options.add_argument("--repeats", type=int, default=200, help="windows read in each way")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures, ratios = windows(Path(folder), asked.repeats)
        for n_scans in (1_400, asked.large):
            more = opening(Path(folder) / f"{n_scans}.zarr", n_scans, asked.repeats)
            figures |= {f"{name}, {n_scans} scans": value for name, value in more.items()}
        name = "window of a tiny scan (ms)"
        ratios["window: large store / store of 1,400 scans"] = (
            figures[f"{name}, {asked.large} scans"] / figures[f"{name}, 1400 scans"]
        )
    show(figures, ratios, asked.json)


def windows(folder: Path, repeats: int) -> tuple[Figures, Figures]:
    """Time one window in every way."""
    rng, grid = np.random.default_rng(0), mni_grid()
    voxels = len(grid.voxels)
    signal = rng.standard_normal((SCANS, VOLUMES, voxels), np.float32)
    for encoding in ("float16", "int8"):
        with StoreWriter(folder / encoding, grid=grid, atlas=_atlas(grid), settings={}, encoding=encoding) as writer:
            for scan in range(SCANS):
                writer.add({"scan": f"s{scan}"}, signal[scan], np.ones(voxels), np.ones(voxels))
    half = signal.astype(np.float16)
    raw = np.memmap(folder / "raw.f16", np.float16, "w+", shape=half.shape)
    raw[:] = half
    raw = np.memmap(folder / "raw.f16", np.float16, "r", shape=half.shape)
    volumes = np.rint(1000 + 20 * rng.standard_normal((*grid.shape, VOLUMES), np.float32)).astype(np.int16)
    nib.Nifti1Image(volumes, grid.affine).to_filename(folder / "scan.nii.gz")
    store, small = Store(folder / "float16"), Store(folder / "int8")
    array = zarr.open_array(folder / "float16" / "scans" / "s0" / "signal", mode="r")

    def place() -> tuple[int, int]:
        return int(rng.integers(SCANS)), int(rng.integers(VOLUMES - WINDOW + 1))

    def from_map() -> np.ndarray:
        scan, start = place()
        return np.array(raw[scan, start : start + WINDOW])

    def from_store() -> np.ndarray:
        scan, start = place()
        where = folder / "float16" / "scans" / f"s{scan}" / "signal"
        return read_rows(where, (VOLUMES, voxels), np.float16, start, start + WINDOW)

    def nifti() -> np.ndarray:
        start = place()[1]
        return np.asarray(nib.load(folder / "scan.nii.gz").dataobj[..., start : start + WINDOW])

    reading = {
        "memmap, bytes": from_map,
        "store, bytes": from_store,
        "memmap, float32 tensor": lambda: torch.from_numpy(from_map()).float(),
        "store, float32 window": lambda: store.window(f"s{place()[0]}", place()[1], WINDOW),
        "store int8, float32 window": lambda: small.window(f"s{place()[0]}", place()[1], WINDOW),
        "zarr, bytes": lambda: array[(start := place()[1]) : start + WINDOW],
    }
    times = medians_ms(reading, repeats) | medians_ms({"nibabel slice of .nii.gz": nifti}, 5)
    ratios = {
        "window, bytes: store / memmap": times["store, bytes"] / times["memmap, bytes"],
        "window, float32: store / memmap": times["store, float32 window"] / times["memmap, float32 tensor"],
        "window: nibabel slice of .nii.gz / store": times["nibabel slice of .nii.gz"] / times["store, float32 window"],
    }
    return {f"{name} (ms)": value for name, value in times.items()}, ratios


def opening(path: Path, n_scans: int, repeats: int) -> Figures:
    """Time opening a store of many tiny scans with full rows, and a random window of it."""
    grid = mni_grid(12.0)
    writer = StoreWriter(path, grid=grid, atlas=_atlas(grid), settings={})
    voxels, rng = len(grid.voxels), np.random.default_rng(0)
    with writer:
        writer.add(_row(0), rng.normal(size=(WINDOW, voxels)), np.ones(voxels), np.ones(voxels))
        _multiply(writer.scans.root, writer.scans.journal, n_scans)
    start = time.perf_counter()
    store = Store(path)
    store.scans  # noqa: B018
    opened = time.perf_counter() - start
    start = time.perf_counter()
    store.fingerprint  # noqa: B018
    signed = time.perf_counter() - start
    read = {"window of a tiny scan (ms)": lambda: store.window(f"sub-{rng.integers(n_scans):06d}", 0, WINDOW)}
    store.window("sub-000000")
    return {"open and scan table (s)": opened, "fingerprint (s)": signed, **medians_ms(read, repeats)}


def _multiply(root: Path, journal: Journal, n_scans: int) -> None:
    """Give the first scan's files to all others, as links: only their number matters here."""
    [entry] = journal.entries().values()
    first = root / "scans" / "sub-000000"
    files = [path.relative_to(first) for path in first.rglob("*") if path.is_file()]
    for number in range(1, n_scans):
        row = {**(entry.row or {}), **_row(number)}
        for file in files:
            (there := root / "scans" / row["scan"] / file).parent.mkdir(parents=True, exist_ok=True)
            os.link(first / file, there)
        digests = {name.replace("sub-000000", row["scan"]): value for name, value in entry.files.items()}
        journal.write(row["scan"], Entry(row=row, files=digests))


def _row(number: int) -> dict[str, object]:
    """A row as `prepare` writes it."""
    rng = np.random.default_rng(number)
    return {
        "scan": f"sub-{number:06d}", "subject": f"{number:06d}", "session": "1", "run": "1", "site": f"s{number % 8}",
        "path": f"s{number % 8}/sub-{number:06d}/func/sub-{number:06d}_task-rest_bold.nii.gz", "tr_s": 2.0,
        "coverage": 0.97, "dx": number % 2, "age": round(float(rng.normal(11, 3)), 2), "sex": "F", "tsnr": 66.7,
        "drift": 0.01, "n_spikes": 3, "spectrum": "band-passed", "signature": "aed40c8d6f8e1566",
        "uncovered_regions": [133, 134], "region_coverage": rng.integers(0, 101, 166).tolist(),
    }  # fmt: skip


def _atlas(grid: Grid) -> Atlas:
    values = np.arange(1, 167)
    regions = pd.DataFrame({"index": values, "name": [f"r{v}" for v in values], "system": "x"})
    return Atlas(labels=np.resize(values, len(grid.voxels)).astype(np.int32), regions=regions, origin="a benchmark")


if __name__ == "__main__":
    main()
