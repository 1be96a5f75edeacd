"""Run folders as the report reads them: what a stage left, parsed once and checked."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fmrifm.errors import DataError
from fmrifm.report.scores import Difference, Score

_TEXT = (
    "scan",
    "subject",
    "session",
    "run",
    "site",
    "name",
    "system",
    "method",
    "model",
    "masker",
    "reference",
    "metric",
    "circuit",
)


@dataclass(frozen=True, eq=False)
class Run:
    """One run folder; tables are read when asked for."""

    path: Path
    provenance: Mapping[str, Any]
    name: str
    """The folder's name, with as many folders above it as tell it from the other runs."""

    @property
    def stage(self) -> str:
        """Which command wrote it: pretrain, finetune, evaluate, compare, attribute, predict, ..."""
        return str(self.provenance["stage"])

    @property
    def cohort(self) -> Mapping[str, Any]:
        """Name, atlas and origin of the cohort that the run read."""
        return dict(self.provenance.get("cohort") or {})

    @property
    def synthetic(self) -> bool:
        """True when the scans were generated, not measured."""
        return bool(self.cohort.get("synthetic"))

    @cached_property
    def metrics(self) -> Mapping[str, Any]:
        """Content of metrics.json; empty when the stage left none."""
        path = self.path / "metrics.json"
        return _read_json(path) if path.exists() else {}

    @cached_property
    def recipe(self) -> str:
        """Content of config.yaml; empty when there is none."""
        path = self.path / "config.yaml"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @property
    def target(self) -> str:
        """Column of the scan table that holds the label."""
        return str(self.settings.get("target", "dx"))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What config.yaml says, by name; empty when there is none.

        Raises:
            DataError: It is no YAML, or more than settings.
        """
        try:
            content = yaml.safe_load(self.recipe) or {}
        except yaml.YAMLError as error:
            raise DataError(f"{self.path / 'config.yaml'}: not YAML ({' '.join(str(error).split())}).") from None
        return content if isinstance(content, dict) else {}

    @property
    def scores(self) -> dict[str, Score]:
        """Scores of the run itself, by metric."""
        return _scores(self.metrics.get("scores"))

    @property
    def baselines(self) -> dict[str, dict[str, Score]]:
        """Scores of each baseline, by metric."""
        return {name: _scores(scores) for name, scores in (self.metrics.get("baselines") or {}).items()}

    @property
    def differences(self) -> dict[str, dict[str, Difference]]:
        """What this run scores above each baseline on the same folds, by metric; empty in folders of older versions."""
        found = self.metrics.get("differences") or {}
        return {
            name: {metric: Difference.from_json(entry) for metric, entry in entries.items()}
            for name, entries in found.items()
        }

    @property
    def leakage(self) -> list[str]:
        """Sentences on scores that may rest on a leak."""
        return [str(sentence) for sentence in self.metrics.get("leakage") or ()]

    def table(self, name: str, columns: Sequence[str] = (), separator: str = "\t") -> pd.DataFrame | None:
        """Read a table of the run, or None when the stage left none.

        Raises:
            DataError: It cannot be parsed or lacks one of `columns`.
        """
        path = self.path / name
        if not path.exists():
            return None
        try:
            # Empty means missing; a site may well be called NA.
            table = pd.read_csv(
                path, sep=separator, dtype=dict.fromkeys(_TEXT, str), keep_default_na=False, na_values=[""]
            )
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: no readable table ({error}). Run the stage `{self.stage}` again.") from None
        if absent := [column for column in columns if column not in table]:
            raise DataError(
                f"{path}: columns {list(table.columns)}; expected also {absent}. Run the stage `{self.stage}` again."
            )
        return table


def read_runs(paths: Iterable[str | Path]) -> list[Run]:
    """Read run folders in the order given, each once, under names that differ.

    Raises:
        DataError: One of them is no run folder, or its provenance is damaged.
    """
    unique = list(dict.fromkeys(Path(path).resolve() for path in paths))
    return [_read_run(path, name) for path, name in zip(unique, _names(unique), strict=True)]


def _names(paths: Sequence[Path]) -> list[str]:
    depth = [1] * len(paths)
    while True:
        names = ["/".join(path.parts[-parts:]) for path, parts in zip(paths, depth, strict=True)]
        if len(set(names)) == len(names):
            return names
        depth = [parts + (names.count(name) > 1) for parts, name in zip(depth, names, strict=True)]


def _read_run(path: Path, name: str) -> Run:
    source = path / "provenance.json"
    if not source.is_file():
        found = "a folder without provenance.json" if path.is_dir() else "a file" if path.exists() else "nothing there"
        raise DataError(
            f"{path}: {found}; expected a run folder as `fmrifm pretrain`, `finetune`, `evaluate`, `compare`, "
            "`attribute` or `predict` leave it. Give --run the folder that such a command wrote to its --out."
        )
    provenance = _read_json(source)
    if "stage" not in provenance:
        raise DataError(f"{source}: keys {sorted(provenance)}; expected `stage` among them. Run that stage again.")
    return Run(path, provenance, name)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no readable JSON ({error}). Run the stage that wrote it again.") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}; expected an object. Run that stage again.")
    return content


def _scores(content: object) -> dict[str, Score]:
    entries = content if isinstance(content, dict) else {}
    return {str(name): Score.from_json(entry) for name, entry in entries.items()}
