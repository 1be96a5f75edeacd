"""`fmrifm prepare`: bring a folder of scans to one grid, once, into the store that every later stage reads.

A scan that cannot be used is refused with its reason in quarantine.tsv beside the store; the
rest goes on. Settings and paths in the store do not depend on where the data lies. Killed and
started again, it does only what is left.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from fmrifm.atlas import load_atlas
from fmrifm.config import PrepareConfig
from fmrifm.data.grid import mni_grid
from fmrifm.data.journal import source_state
from fmrifm.data.limits import Limits
from fmrifm.data.preparation import Preparation
from fmrifm.data.scan import Found, ScanRecord, read_table
from fmrifm.data.sources import find_scans
from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter
from fmrifm.errors import DataError
from fmrifm.stages.workers import in_parallel

Refusals = list[tuple[Path, str]]


def prepare(config: PrepareConfig) -> Path:
    """Find, check and prepare the scans of a data set and write its store.

    Returns:
        The store's folder; quarantine.tsv lies beside it, also when it is empty.

    Raises:
        DataError: Nothing usable is found, the store exists, or `strict` and a scan is refused.
    """
    console = Console(highlight=False, markup=False)
    root, out = Path(config.root), Path(config.out)
    found = find_scans(config.source, root, keep=config.keep, n_subjects=config.n_subjects)
    Preparation.check_names(found.records)
    if found.n_beyond:
        console.print(f"Left for later: {found.n_beyond} scans of subjects beyond the first {config.n_subjects}")
    grid = mni_grid(config.spacing_mm)
    atlas = load_atlas(config.atlas, grid.image(np.ones(len(grid.voxels), np.uint8)))
    folder = root if root.is_dir() else root.parent
    out.parent.mkdir(parents=True, exist_ok=True)
    with StoreWriter(
        out,
        grid=grid,
        atlas=atlas,
        settings=_settings(config),
        encoding=config.encoding,
        append=config.append,
        **_cohort(folder),
    ) as writer:
        records = _new(found, writer, folder, console)
        pending = writer.pending({key: source_state(record) for key, record in records.items()})
        if len(pending) < len(records):
            console.print(f"Going on: {len(records) - len(pending)} of {len(records)} scans are done already")
        work = Preparation(grid, atlas.labels, config.cleaning, _limits(config), folder, writer.scans)
        _run(work, [records[key] for key in pending], config, console)
        unusable = [(records[key].path, reason) for key, reason in writer.refused().items()]
        refused = found.refused + unusable
        quarantine = _write_quarantine(out, refused, found if config.append else None)
        _check(config, writer, len(records) - len(unusable), refused, quarantine)
    _summarise(console, Store(out), len(refused), quarantine)
    return out


def _new(found: Found, writer: StoreWriter, folder: Path, console: Console) -> dict[str, ScanRecord]:
    """Scans by key that the store has not; another scan under the name of one that it has is refused."""
    existing, n_same = writer.existing(), 0
    records = {}
    for record in found.records:
        if record.key not in existing:
            records[record.key] = record
        elif existing[record.key] == record.row(folder)["path"]:
            n_same += 1
        else:
            found.refused.append((record.path, f"the store has {record.key} already, from {existing[record.key]}"))
    if n_same:
        console.print(f"{n_same} of {len(found.records)} scans are in the store already")
    return records


def _run(work: Preparation, records: Sequence[ScanRecord], config: PrepareConfig, console: Console) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _SpeedColumn(),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    done = in_parallel(work, records, jobs=config.jobs, cluster=config.cluster)
    with Progress(*columns, console=console) as progress:
        for _ in progress.track(done, total=len(records), description="Preparing scans"):
            pass


class _SpeedColumn(ProgressColumn):
    """Scans a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.2g} scans/s,")


def _check(config: PrepareConfig, writer: StoreWriter, n_taken: int, refused: Refusals, quarantine: Path) -> None:
    if n_taken == 0 and not writer.existing():
        writer.discard()
        raise DataError(
            f"{config.root}: none of {len(refused)} scans can be used; {quarantine} gives the reason for each."
        )
    if config.strict and refused:
        raise DataError(
            f"{config.root}: {len(refused)} scans are refused, and --strict wants none; {quarantine} gives the "
            f"reasons. Repair or remove them, then call prepare again; {n_taken} scans are done and kept."
        )


def _limits(config: PrepareConfig) -> Limits:
    return Limits(
        min_volumes=config.min_volumes,
        min_coverage=config.min_coverage,
        max_nonfinite=config.max_nonfinite,
        max_gib=config.max_gib,
    )


def _settings(config: PrepareConfig) -> dict[str, Any]:
    return {
        "source": config.source,
        "keep": list(config.keep),
        "spacing_mm": config.spacing_mm,
        "min_coverage": config.min_coverage,
        "min_volumes": config.min_volumes,
        "max_nonfinite": config.max_nonfinite,
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


def _write_quarantine(out: Path, refused: Refusals, appended: Found | None) -> Path:
    """Write quarantine.tsv; what is appended keeps the rows of files that were not asked for now."""
    path = out.with_name("quarantine.tsv")
    rows = [(str(file), reason.removeprefix(f"{file}: ")) for file, reason in refused]
    if appended is not None and path.exists():
        now = {str(record.path) for record in appended.records} | {file for file, _ in rows}
        earlier = read_table(path).itertuples(index=False)
        rows += [(file, reason) for file, reason in earlier if file not in now]
    pd.DataFrame(sorted(rows), columns=["path", "reason"]).to_csv(path, sep="\t", index=False)
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
