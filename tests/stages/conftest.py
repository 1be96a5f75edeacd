"""The whole chain on a tiny cohort, every stage once; what the stages leave is read only."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fmrifm.atlas import Atlas
from fmrifm.config import (
    AttributeConfig,
    DataConfig,
    EvaluateConfig,
    FinetuneConfig,
    ModelConfig,
    OptimConfig,
    PretrainConfig,
    TokensConfig,
)
from fmrifm.data.grid import Grid
from fmrifm.data.store_writer import StoreWriter
from fmrifm.stages.attribute import attribute
from fmrifm.stages.evaluate import evaluate
from fmrifm.stages.finetune import finetune
from fmrifm.stages.pretrain import pretrain


@pytest.fixture(scope="session")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 12 subjects at two sites; with dx 1 regions 20 and 30 repeat the signal of 10.

    Subject s11 has no label, and s00 a second scan, too short for a window. Region 70 has no voxel.
    """
    grid = _grid()
    # Three slabs along y, each cut along z: 72, 54, 72, 54, 24 and 18 voxels.
    labels = 10 * (1 + 2 * (grid.voxels[:, 1] // 3) + (grid.voxels[:, 2] > 5)).astype(np.int32)
    regions = pd.DataFrame(
        {
            "index": [10, 20, 30, 40, 50, 60, 70],
            "name": ["Insula_L", "Insula_R", "Hippocampus_L", "Hippocampus_R", "Rectus_L", "Rectus_R", "Thal_Re_L"],
            "hemisphere": ["L", "R", "L", "R", "L", "R", "L"],
            "system": ["Limbic"] * 4 + ["Frontal"] * 2 + ["Thalamus"],
        }
    )
    atlas = Atlas(labels=labels, regions=regions, origin="a test", lost=(70,))
    path = tmp_path_factory.mktemp("store") / "tiny.zarr"
    rng = np.random.default_rng(0)
    with StoreWriter(
        path, grid=grid, atlas=atlas, settings={}, name="Tiny cohort", synthetic=True, planted=[10, 20, 30]
    ) as writer:
        for number in range(12):
            subject, dx = f"s{number:02d}", number % 2
            row = {"subject": subject, "site": "Oslo" if number < 6 else "Rome", "tr_s": 2.0 if number < 6 else 2.5}
            row |= {"coverage": 1.0, "dx": None if number == 11 else dx, "age": 8.5 + number, "sex": "FMM"[number % 3]}
            lengths = (30 + number, 6) if number == 0 else (30 + number,)
            for run, volumes in enumerate(lengths, start=1):
                signal = _signal(labels, volumes, dx, rng)
                of_voxels = np.full(len(labels), 100.0)
                writer.add({"scan": f"{subject}_run-{run}", **row}, signal, of_voxels, of_voxels / 50)
    return path


def _grid() -> Grid:
    mask = np.zeros((7, 8, 9), dtype=bool)
    mask[1:, :7, 2:] = True
    affine = np.diag([6.0, 6.0, 6.0, 1.0])
    affine[:3, 3] = (-18.0, -20.0, -30.0)
    return Grid(affine=affine, mask=mask)


def _signal(labels: np.ndarray, volumes: int, dx: int, rng: np.random.Generator) -> np.ndarray:
    regions = rng.normal(size=(volumes, 6))
    if dx:
        regions[:, 1:3] = regions[:, :1]
    signal = regions[:, labels // 10 - 1] + 0.5 * rng.normal(size=(volumes, len(labels)))
    return (signal - signal.mean(axis=0)) / signal.std(axis=0)


QUIET = {"accelerator": "cpu", "enable_progress_bar": False}


@pytest.fixture(scope="session")
def pretrain_settings(store_path: Path) -> Callable[..., PretrainConfig]:
    """Make settings of a pretraining that takes seconds; further ones by name."""

    def settings(out: Path, trainer: Mapping[str, Any] | None = None, **changes: Any) -> PretrainConfig:
        tiny = {
            "tokens": TokensConfig(window_volumes=8, patch_volumes=4, edge_voxels=3),
            "model": ModelConfig(width=24, layers=1, heads=2, queries=16),
            "optim": OptimConfig(batch_size=4),
            "data": DataConfig(windows_per_scan=1),
            "validation": 0.2,
        }
        quiet = {"max_epochs": 3, "accelerator": "cpu", "enable_progress_bar": False}
        return PretrainConfig(
            store=str(store_path), out=str(out), trainer={**quiet, **(trainer or {})}, **tiny | changes
        )

    return settings


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def pretrained_run(pretrain_settings: Callable[..., PretrainConfig], runs: Path) -> Path:
    return pretrain(pretrain_settings(runs / "pretrain"))


@pytest.fixture(scope="session")
def on_runs(store_path: Path, pretrained_run: Path, runs: Path) -> Callable[..., dict[str, Any]]:
    """Where a stage reads and writes."""

    def places(out: str, checkpoint: Path = pretrained_run) -> dict[str, Any]:
        return {"store": str(store_path), "checkpoint": str(checkpoint), "out": str(runs / out)}

    return places


@pytest.fixture(scope="session")
def finetuned_run(on_runs: Callable[..., dict[str, Any]]) -> Path:
    return finetune(FinetuneConfig(**on_runs("finetune"), folds=3, inner_folds=2, epochs=1))


@pytest.fixture(scope="session")
def fully_finetuned_run(on_runs: Callable[..., dict[str, Any]]) -> Path:
    settings = {"folds": 2, "inner_folds": 2, "encoder": "full", "epochs": 1, "lr": 1e-2}
    return finetune(FinetuneConfig(**on_runs("full"), **settings, trainer=QUIET))


@pytest.fixture(scope="session")
def evaluated_run(on_runs: Callable[..., dict[str, Any]], finetuned_run: Path) -> Path:
    return evaluate(EvaluateConfig(**on_runs("evaluate", finetuned_run), bootstrap=50, permutations=9, trainer=QUIET))


@pytest.fixture(scope="session")
def attributed_run(on_runs: Callable[..., dict[str, Any]], finetuned_run: Path) -> Path:
    few = {"windows_per_scan": 2, "bootstrap": 50, "groups": 2, "check_scans": 6}
    return attribute(AttributeConfig(**on_runs("attribute", finetuned_run), **few))
