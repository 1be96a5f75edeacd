"""`fmrifm prepare`: bring a folder of scans to one grid, once, into the store that every later stage reads.

A scan that cannot be used is refused with its reason in quarantine.tsv beside the store; the
rest goes on. Settings and paths in the store do not depend on where the data lies.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fmrifm.atlas import Atlas, load_atlas
from fmrifm.config import PrepareConfig
from fmrifm.data.grid import Grid, mni_grid
from fmrifm.data.preprocess import PreparedScan, prepare_scan, uncovered_regions
from fmrifm.data.scan import Found, ScanRecord
from fmrifm.data.sources import find_scans
from fmrifm.data.store import Store, StoreWriter
from fmrifm.errors import DataError

Outcome = PreparedScan | DataError


def prepare(config: PrepareConfig) -> Path:
    """Find, check and prepare the scans of a data set and write its store.

    Returns:
        The store's folder; quarantine.tsv lies beside it, also when it is empty.

    Raises:
        DataError: Nothing usable is found, or the store exists.
    """
    console = Console(highlight=False, markup=False)
    root, out = Path(config.root), Path(config.out)
    found = find_scans(config.source, root)
    grid = mni_grid(config.spacing_mm)
    atlas = load_atlas(config.atlas, grid.image(np.ones(len(grid.voxels), np.uint8)))
    folder = root if root.is_dir() else root.parent
    out.parent.mkdir(parents=True, exist_ok=True)
    with StoreWriter(out, grid=grid, atlas=atlas, settings=_settings(config), **_cohort(folder)) as writer:
        refused = list(found.refused)
        for record, outcome in _progress(console, found, _outcomes(found.records, grid, config)):
            if isinstance(outcome, DataError):
                refused.append((record.path, str(outcome)))
            else:
                writer.add(_row(record, folder, outcome, atlas), outcome.signal, outcome.mean, outcome.deviation)
        quarantine = _write_quarantine(out, refused)
        if len(refused) == len(found.refused) + len(found.records):
            raise DataError(
                f"{root}: none of {len(refused)} scans can be used; {quarantine} gives the reason for each."
            )
    _summarise(console, Store(out), len(refused), quarantine)
    return out


def _outcomes(records: Sequence[ScanRecord], grid: Grid, config: PrepareConfig) -> Iterator[Outcome]:
    calls = (delayed(_attempt)(record, grid, config) for record in records)
    outcomes: Iterator[Outcome] = Parallel(n_jobs=config.jobs, return_as="generator")(calls)
    return outcomes


def _attempt(record: ScanRecord, grid: Grid, config: PrepareConfig) -> Outcome:
    """Prepare one scan; its fault is a result, so that one bad file does not end the others."""
    try:
        return prepare_scan(
            record, grid, config.cleaning, min_volumes=config.min_volumes, min_coverage=config.min_coverage
        )
    except DataError as error:
        return error


def _progress(console: Console, found: Found, outcomes: Iterator[Outcome]) -> Iterator[tuple[ScanRecord, Outcome]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=console) as progress:
        yield from progress.track(
            zip(found.records, outcomes, strict=True), total=len(found.records), description="Preparing scans"
        )


def _row(record: ScanRecord, folder: Path, scan: PreparedScan, atlas: Atlas) -> dict[str, Any]:
    return {
        **record.row(folder),
        "tr_s": scan.tr_s,
        "coverage": round(scan.coverage, 4),
        "resampled": scan.resampled,
        "n_nonfinite": scan.n_nonfinite,
        "uncovered_regions": uncovered_regions(atlas.labels, scan.covered),
    }


def _settings(config: PrepareConfig) -> dict[str, Any]:
    return {
        "source": config.source,
        "spacing_mm": config.spacing_mm,
        "min_coverage": config.min_coverage,
        "min_volumes": config.min_volumes,
        "cleaning": asdict(config.cleaning),
    }


def _cohort(folder: Path) -> dict[str, Any]:
    """What the data set says of itself: its name, whether it was generated, and where a difference was planted."""
    description, truth = folder / "dataset_description.json", folder / "truth.tsv"
    content = json.loads(description.read_text()) if description.exists() else {}
    planted = pd.read_csv(truth, sep="\t").query("planted == 1")["index"].tolist() if truth.exists() else None
    return {
        "name": str(content.get("Name", folder.resolve().name)),
        "synthetic": bool(content.get("Synthetic", False)),
        "planted": planted,
    }


def _write_quarantine(out: Path, refused: Sequence[tuple[Path, str]]) -> Path:
    path = out.with_name("quarantine.tsv")
    rows = [(str(file), reason.removeprefix(f"{file}: ")) for file, reason in refused]
    pd.DataFrame(rows, columns=["path", "reason"]).to_csv(path, sep="\t", index=False)
    return path


def _summarise(console: Console, store: Store, n_refused: int, quarantine: Path) -> None:
    atlas, scans = store.atlas, store.scans
    names = dict(zip(atlas.regions["index"], atlas.regions["name"], strict=True))
    where = f" ({quarantine} gives the reasons)" if n_refused else ""
    console.print(f"Scans: {len(scans)} taken, {n_refused} refused{where}", soft_wrap=True)
    console.print(f"{atlas.name}: labels {(atlas.labels > 0).mean():.0%} of the brain mask; the rest has no region")
    n_scans = Counter(value for values in scans["uncovered_regions"] for value in values)
    some = {value: n for value, n in sorted(n_scans.items()) if n < len(scans)}
    for word, regions in (
        ("Regions rescued into one voxel", [names[value] for value in atlas.rescued]),
        ("Regions lost on this grid", [names[value] for value in atlas.lost]),
        ("Regions less than half covered in every scan", [names[value] for value in sorted(set(n_scans) - set(some))]),
        ("Regions less than half covered in some scans", [f"{names[value]} ({n})" for value, n in some.items()]),
    ):
        if regions:
            console.print(f"{word} ({len(regions)}): {', '.join(regions)}")
