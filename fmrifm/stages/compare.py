"""`fmrifm compare`: the trial of masking. Every strategy in every fold of every seed, equal in all else.

Leaves cells/ (one JSON a cell, so that an interrupted trial goes on), cells.tsv, predictions.tsv, maskers.tsv,
differences.tsv and metrics.json.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from rich.progress import Progress

from fmrifm.atlas import grow_labels
from fmrifm.config import CompareConfig
from fmrifm.data.store import Store
from fmrifm.evaluation.baselines import connectomes
from fmrifm.evaluation.cells import cell_settings, run_cell
from fmrifm.evaluation.labels import labelled_scans
from fmrifm.evaluation.metrics import Score, by_subject, fold_scores
from fmrifm.evaluation.readout import fixed_features, predict_folds
from fmrifm.evaluation.splits import Fold, make_folds
from fmrifm.evaluation.trial import (
    CLASSIFICATION,
    CONNECTOME,
    UNTRAINED,
    Cell,
    masker_differences,
    masker_scores,
    trial_cells,
)
from fmrifm.stages.folder import RunFolder, check_same_settings, run_folder
from fmrifm.stages.inputs import long_enough
from fmrifm.stages.workers import in_parallel

_MAY_DIFFER = ("store", "out", "jobs", "shard", "bootstrap", "trainer", "data.workers", "data.resident")
"""Settings that another call on the same folder may change: no cell depends on them."""


def compare(config: CompareConfig) -> Path:
    """Do the cells that are missing and, where none is, make the tables; return the run folder.

    Raises:
        DataError: The store or its labels do not serve.
        ConfigError: The folder holds a trial with other settings, or a factor is no setting.
    """
    store = Store(config.store)
    check_same_settings(config, _MAY_DIFFER)
    scans = long_enough(store, config.tokens.window_volumes)
    scans = scans.assign(label=labelled_scans(scans, config.target)["label"])
    labelled = scans.dropna(subset="label").astype({"label": int}).reset_index(drop=True)
    folds = make_folds(labelled, config)
    cells = trial_cells(config, folds)
    for cell in cells:
        cell_settings(cell, config)  # a level that cannot work is refused before any work
    with run_folder("compare", config, store, resume=True) as run:
        _work(config, scans, folds, cells, run)
        if missing := [cell for cell in cells if not _file(run, cell).is_file()]:
            run.finished = False
            done = len(cells) - len(missing)
            Console(stderr=True).print(f"{done} of {len(cells)} cells are done; run the other shards for the tables.")
        else:
            _tables(config, store, labelled, folds, cells, run)
    return run.path


def _work(config: CompareConfig, scans: pd.DataFrame, folds: list[Fold], cells: list[Cell], run: RunFolder) -> None:
    """Do this shard's cells that are not there yet, side by side."""
    part, parts = map(int, config.shard.split("/"))
    todo = [cell for cell in cells[part - 1 :: parts] if not _file(run, cell).is_file()]
    (run.path / "cells").mkdir(exist_ok=True)
    do = partial(_do, config=config, scans=scans, folds=folds, run=run)
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("Cells", total=len(todo))
        for told in in_parallel(do, todo, jobs=min(config.jobs, max(1, len(todo))), cluster=None):
            progress.console.print(told)
            progress.advance(bar)


def _do(cell: Cell, config: CompareConfig, scans: pd.DataFrame, folds: list[Fold], run: RunFolder) -> str:
    """Do one cell, keep it, and say in a line what came out."""
    gpus = torch.cuda.device_count()
    device = cell.number % gpus if config.jobs > 1 and gpus > 1 else None
    row, predictions = run_cell(cell, config, Store(config.store), scans, folds[cell.fold], device)
    path = _file(run, cell)
    partial_path = path.with_suffix(".partial")
    partial_path.write_text(json.dumps({"row": row, "predictions": predictions.to_dict("list")}))
    partial_path.replace(path)
    r2 = f"R2 {row['r2_voxel_random']:.3f} (random masks), {row['r2_voxel_region']:.3f} (region masks)"
    return f"{cell.name}: AUC {row['auc']:.3f}, {r2}, {row['seconds']:.0f} s"


def _file(run: RunFolder, cell: Cell) -> Path:
    return run.path / "cells" / f"{cell.name}.json"


def _tables(
    config: CompareConfig, store: Store, scans: pd.DataFrame, folds: list[Fold], cells: list[Cell], run: RunFolder
) -> None:
    contents = [json.loads(_file(run, cell).read_text()) for cell in cells]
    rows = pd.DataFrame([content["row"] for content in contents])
    predictions = pd.concat([pd.DataFrame(content["predictions"]) for content in contents], ignore_index=True)
    more_rows, more_predictions = _connectome(config, store, scans, folds, cells)
    rows, predictions = pd.concat([rows, more_rows]), pd.concat([predictions, more_predictions])
    scores = masker_scores(rows, predictions, config)
    differences = masker_differences(rows, predictions, folds, config)
    named = {"cells": rows, "predictions": predictions, "maskers": scores, "differences": differences}
    for name, table in named.items():
        table.to_csv(run.path / f"{name}.tsv", sep="\t", index=False)
    _metrics(config, scores, folds, run)


def _connectome(
    config: CompareConfig, store: Store, scans: pd.DataFrame, folds: list[Fold], cells: Sequence[Cell]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The connectome on the same folds, once a combination of levels: nothing in it depends on them."""
    labels = grow_labels(store.atlas.labels, store.grid.voxels, store.grid.spacing_mm, config.tokens.grow_mm)
    features = fixed_features(connectomes(store, scans["scan"], labels).correlation, scans["site"])
    predictions = predict_folds(features, scans, folds, config)
    judged = fold_scores(by_subject(predictions))
    rows, tables = [], []
    for cell in cells:
        if cell.masker == UNTRAINED:
            fold, key = folds[cell.fold], {**cell.row(), "masker": CONNECTOME}
            sizes = {"n_train": len(fold.train), "n_test": len(fold.test)}
            rows.append({**key, **sizes, **{name: judged.loc[cell.fold, name] for name in CLASSIFICATION}})
            tables.append(predictions[predictions["fold"] == cell.fold].assign(**key))
    return pd.DataFrame(rows), pd.concat(tables, ignore_index=True)


def _metrics(config: CompareConfig, scores: pd.DataFrame, folds: list[Fold], run: RunFolder) -> None:
    """Scores by METRIC_MASKER and, where there are factors, their levels; baselines by name."""
    found: dict[str, Score] = {}
    baselines: dict[str, dict[str, Score]] = {}
    for row in scores.to_dict("records"):
        name = "_".join(str(row[part]) for part in ("masker", *config.factors))
        score = Score(row["value"], row["ci_low"], row["ci_high"], int(row["n"]))
        if row["masker"] in (UNTRAINED, CONNECTOME):
            baselines.setdefault(name, {})[row["metric"]] = score
        else:
            found[f"{row['metric']}_{name}"] = score
    run.write_metrics(found, baselines=baselines, folds=folds)
