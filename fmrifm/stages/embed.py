"""`fmrifm embed`: features of scans, one row each, as parquet or TSV.

A scan that cannot be used is named in NAME_quarantine.tsv beside the table, with the reason; the rest goes on.
NAME.json says what made the features: settings, version, and the model with its grid, window and cleaning.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from fmrifm.config import EmbedConfig
from fmrifm.data.sources.loose import Scan, as_record, each_scan
from fmrifm.errors import ConfigError, DataError
from fmrifm.evaluation.embedding import device_named, embed_scan, feature_names, feature_table, vectorise
from fmrifm.evaluation.remembered import model_state
from fmrifm.hub import from_pretrained
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained
from fmrifm.training.files import whole

Row = tuple[str, Tensor, dict[str, Any]]
"""A scan's path, its summary (1, ...) and facts."""


def embed(config: EmbedConfig) -> Path:
    """Read and encode every scan; return the table's path.

    Raises:
        ConfigError: The table exists.
        CheckpointError: No model there.
        DataError: No scan can be used.
    """
    out = Path(config.out)
    if out.exists():
        raise ConfigError(f"{out}: exists. Choose another --out, or remove it.")
    console = Console(stderr=True, highlight=False, markup=False)
    scans = each_scan(list(config.scans))
    pretrained = from_pretrained(config.checkpoint)
    classifier = ScanClassifier(pretrained.model, config.pooling, config.connectivity).eval()
    classifier.to(device_named(config.device))
    rows, refused = _embed_each(scans, pretrained, classifier, console)
    quarantine = out.with_name(f"{out.stem}_quarantine.tsv")
    out.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(refused, columns=["path", "reason"]).to_csv(quarantine, sep="\t", index=False)
    if not rows:
        raise DataError(f"None of {len(scans)} scans can be used; {quarantine} gives the reason for each.")
    table = _table(rows, pretrained, classifier)
    with whole(out.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(_made_with(config, pretrained), indent=1))
    with whole(out) as partial:
        if out.suffix == ".parquet":
            pa.parquet.write_table(_columns(table, classifier.pooling.size), partial, use_dictionary=False)
        else:
            table.to_csv(partial, sep="\t", index=False)
    moved = int(table["resampled"].sum())
    console.print(
        f"Scans: {len(rows)} embedded, {moved} of them resampled to the model's grid, {len(refused)} refused"
        + (f" ({quarantine} gives the reasons)" if refused else ""),
        soft_wrap=True,
    )
    return out


def _embed_each(
    scans: Sequence[Scan], pretrained: Pretrained, classifier: ScanClassifier, console: Console
) -> tuple[list[Row], list[tuple[str, str]]]:
    """What was read of each usable scan, and the others with the reason."""
    rows, refused = [], []
    for path in track(scans, "Embedding scans", console=console):
        try:
            with as_record(path) as record:
                rows.append((str(path), *embed_scan(record, pretrained, classifier)))
        except DataError as error:
            refused.append((str(path), str(error).removeprefix(f"{path}: ")))
    return rows, refused


def _table(rows: list[Row], pretrained: Pretrained, classifier: ScanClassifier) -> pd.DataFrame:
    paths, parts, facts = zip(*rows, strict=True)
    summaries = torch.cat(parts)
    classifier.pooling.fit(summaries)
    return feature_table(paths, facts, vectorise(classifier, summaries), feature_names(pretrained, classifier))


def _made_with(config: EmbedConfig, pretrained: Pretrained) -> dict[str, Any]:
    return {
        "fmrifm": version("fmrifm"),
        "settings": asdict(config),
        "model": model_state(pretrained),
        "spacing_mm": pretrained.grid.spacing_mm,
        "shape": pretrained.grid.shape,
        "atlas": pretrained.atlas.name,
        "window_volumes": pretrained.tokens.window_volumes,
        "about": dict(pretrained.about),
    }


def _columns(table: pd.DataFrame, features: int) -> pa.Table:
    """The table for parquet, its last columns features: pandas takes a second for 13,695 of them, and two to read."""
    facts, values = table.iloc[:, :-features], table.iloc[:, -features:].to_numpy()
    arrays = [pa.array(facts[name]) for name in facts] + [pa.array(column) for column in np.ascontiguousarray(values.T)]
    return pa.Table.from_arrays(arrays, names=list(table))
