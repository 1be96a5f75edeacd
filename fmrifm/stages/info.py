"""`fmrifm info`: say what a scan, store, run folder or checkpoint contains."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import track
from rich.table import Table
from safetensors import safe_open

from fmrifm.atlas import Atlas, load_atlas
from fmrifm.config import AtlasConfig, InfoConfig
from fmrifm.data.checksums import NAME, differences, read_sums
from fmrifm.data.grid import Grid, mni_grid
from fmrifm.data.headers import repetition_time
from fmrifm.data.images import open_image
from fmrifm.data.preprocess import PreparedScan, prepare_scan
from fmrifm.data.quality import uncovered_regions
from fmrifm.data.scan import ScanRecord
from fmrifm.data.store import Store
from fmrifm.errors import AtlasError, DataError

Rows = Iterable[tuple[str, str]]


def info(config: InfoConfig) -> Path:
    """Print what lies at a path or URL.

    Raises:
        DataError: It is nothing that fmrifm reads or writes.
    """
    console, path = Console(highlight=False, markup=False), Path(config.path)
    if config.verify:
        _verify(console, config.path)
    if "://" in config.path or (path / "zarr.json").exists():
        store = Store(config.path)
        _show(console, f"Store {store.path}", _store(store))
        console.print(_counts(store.scans))
    elif path.name.endswith((".nii", ".nii.gz")) and path.is_file():
        _show(console, f"Scan {path}", _scan(path, config.atlas))
    elif (path / "provenance.json").exists():
        _show(console, f"Run {path}", _run(path))
    elif checkpoints := _checkpoints(path):
        for checkpoint in checkpoints:
            _show(console, f"Checkpoint {checkpoint}", _checkpoint(checkpoint))
    else:
        found = "nothing that fmrifm knows" if path.exists() else "nothing"
        raise DataError(
            f"{path}: {found} here. Expected a scan (.nii, .nii.gz), a store, a run folder (with provenance.json) "
            "or a checkpoint (.safetensors)."
        )
    return path


def _verify(console: Console, where: str) -> None:
    """Compare every file of a store with SHA256SUMS."""
    if "://" in where:
        raise DataError(f"{where}: only a store on this machine can be verified. Copy it here.")
    path = Path(where)
    sums = read_sums(path)
    found = track(differences(path, sums), "Verifying", total=len(sums), console=Console(stderr=True))
    faults = [(name, fault) for name, fault in found if fault is not None]
    for name, fault in faults:
        console.print(f"{name}: {fault}", soft_wrap=True)
    if faults:
        raise DataError(
            f"{path}: {len(faults)} files differ from {NAME}, listed above. Restore them, or prepare the store again."
        )
    console.print("Every file holds the bytes that were written.")


def _show(console: Console, title: str, rows: Rows) -> None:
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for word, value in rows:
        table.add_row(word, value)
    console.print(table)


def _scan(path: Path, atlas: AtlasConfig) -> Rows:
    """The header as it is, then what `prepare` would make of the run with its default grid."""
    image, grid = open_image(path), mni_grid()
    spacing, time_unit = nib.affines.voxel_sizes(image.affine), image.header.get_xyzt_units()[1]
    yield "shape", " x ".join(map(str, image.shape))
    yield "voxel size", " x ".join(f"{edge:g}" for edge in spacing) + " mm"
    yield "axes", "".join(code or "?" for code in nib.aff2axcodes(image.affine))
    if len(image.shape) == 4:
        yield "repetition time", f"{repetition_time(image):g} s (header: {image.header.get_zooms()[3]:g}, {time_unit})"
    yield "on the 4 mm grid", "yes" if grid.holds(image) else "no, prepare would interpolate it"
    try:
        scan = prepare_scan(ScanRecord(path=path, subject=path.name), grid)
    except DataError as error:
        yield "prepare", f"would refuse it: {str(error).removeprefix(f'{path}: ')}"
        return
    yield "voxels with NaN or infinity", str(scan.n_nonfinite)
    yield "brain mask covered", f"{scan.coverage:.1%}"
    yield from _regions(scan, grid, atlas)


def _regions(scan: PreparedScan, grid: Grid, config: AtlasConfig) -> Rows:
    try:
        atlas = load_atlas(config, grid.image(np.ones(len(grid.voxels), np.uint8)))
    except AtlasError as error:
        yield "regions", f"not known without an atlas: {error}"
        return
    uncovered = uncovered_regions(atlas.labels, scan.covered)
    yield f"{atlas.name} voxels covered", f"{scan.covered[atlas.labels > 0].mean():.1%}"
    yield "less than half covered", f"{len(uncovered)}: {_names(atlas, uncovered)}" if uncovered else "none"


def _store(store: Store) -> Rows:
    scans, atlas = store.scans, store.atlas
    yield "cohort", store.name + (" (synthetic)" if store.synthetic else "")
    yield "scans", f"{len(scans)} of {scans['subject'].nunique()} subjects"
    yield "volumes", f"{scans['n_volumes'].min()} to {scans['n_volumes'].max()}, {scans['n_volumes'].sum()} in all"
    yield "repetition times", ", ".join(f"{tr_s:g} s ({n})" for tr_s, n in scans["tr_s"].value_counts().items())
    yield "brain mask covered", f"{scans['coverage'].min():.1%} to {scans['coverage'].max():.1%}"
    yield "grid", f"{' x '.join(map(str, store.grid.shape))} voxels of {max(store.grid.spacing_mm):g} mm"
    yield "brain voxels", str(len(atlas.labels))
    yield "atlas", f"{atlas.name}, from {atlas.origin}; labels {(atlas.labels > 0).mean():.0%} of the brain"
    yield "regions rescued", _names(atlas, atlas.rescued)
    yield "regions lost", _names(atlas, atlas.lost)
    if store.planted is not None:
        yield "planted regions", _names(atlas, store.planted)
    yield "cleaning", json.dumps(store.attributes["settings"].get("cleaning", {}))
    if isinstance(store.path, Path):
        size = sum(file.stat().st_size for file in store.path.rglob("*") if file.is_file())
        yield "size", f"{size / 2**20:.0f} MiB, signal as {store.attributes['encoding']}"
    yield "fingerprint", store.fingerprint


def _counts(scans: pd.DataFrame) -> Table:
    """Scans by site and label."""
    labels = scans["dx"] if "dx" in scans else pd.Series(None, index=scans.index, dtype=object)
    words = ["no label" if pd.isna(label) else f"dx {label:g}" for label in pd.to_numeric(labels, errors="coerce")]
    counts = pd.crosstab(scans["site"], pd.Series(words, index=scans.index), margins=True, margins_name="all")
    table = Table("site", *map(str, counts.columns), box=None)
    for site, row in counts.iterrows():
        table.add_row(str(site), *map(str, row))
    return table


def _run(path: Path) -> Rows:
    yield from _flat(json.loads((path / "provenance.json").read_text()))
    metrics = path / "metrics.json"
    content = json.loads(metrics.read_text()) if metrics.exists() else {}
    yield from ((f"score {name}", _score(score)) for name, score in content.get("scores", {}).items())
    for checkpoint in sorted(path.rglob("*.safetensors")):
        yield "checkpoint", str(checkpoint.relative_to(path))


def _score(score: Mapping[str, Any] | float) -> str:
    if not isinstance(score, Mapping):
        return f"{score:.4g}"
    interval = "" if score.get("ci_low") is None else f" ({score['ci_low']:.3f} to {score['ci_high']:.3f})"
    return f"{score['value']:.3f}{interval}, n = {score.get('n', '?')}"


def _checkpoints(path: Path) -> list[Path]:
    return [path] if path.suffix == ".safetensors" and path.is_file() else sorted(path.glob("*.safetensors"))


def _checkpoint(path: Path) -> Rows:
    with safe_open(path, framework="numpy") as tensors:
        sizes = [int(np.prod(tensors.get_slice(name).get_shape())) for name in tensors.keys()]  # noqa: SIM118
    yield "parameters", f"{sum(sizes):,} in {len(sizes)} tensors"
    beside = path.with_suffix(".json")
    if not beside.exists():
        yield "description", f"{beside.name} is missing; fmrifm cannot load this file"
        return
    yield from _flat(json.loads(beside.read_text()))


def _flat(content: Mapping[str, Any]) -> Rows:
    """One row an entry; what is long is counted, not printed."""
    for name, value in content.items():
        text = value if isinstance(value, str) else json.dumps(value)
        yield name, text if len(text) <= 1000 else f"{len(value)} entries"


def _names(atlas: Atlas, values: Iterable[int]) -> str:
    names = dict(zip(atlas.regions["index"], atlas.regions["name"], strict=True))
    return ", ".join(names[value] for value in values) or "none"
