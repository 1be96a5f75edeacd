"""Fixtures that many tests share: tiny, seeded, with unequal axes."""

import os
from dataclasses import asdict, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from fmrifm.atlas import Atlas
from fmrifm.config import CleaningConfig, MaskingConfig, ModelConfig, PretrainConfig, TokensConfig
from fmrifm.data.grid import Grid
from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter
from fmrifm.evaluation.metrics import Score
from fmrifm.stages.folder import run_folder
from fmrifm.training.checkpoint import Pretrained, build_model, save_pretrained


@pytest.fixture(scope="session")
def grid() -> Grid:
    """A 2 mm grid of 5 x 6 x 7 voxels, off the origin; its mask leaves out a face of each axis."""
    mask = np.zeros((5, 6, 7), dtype=bool)
    mask[1:, :5, 2:] = True
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-4.0, 10.0, -6.0)
    return Grid(affine=affine, mask=mask)


@pytest.fixture(scope="session")
def atlas(grid: Grid) -> Atlas:
    """Six unequal regions over 88 of the grid's 100 brain voxels; half of their values lie above 127."""
    box = np.zeros(grid.shape, np.int32)
    box[:, 0], box[:, 2] = 3, 128
    box[:3, 1], box[3:, 1] = 41, 95
    box[:, 3, :5], box[:, 3:5, 5:] = 170, 255
    regions = pd.DataFrame({"index": [3, 41, 95, 128, 170, 255], "name": list("ABCDEF"), "system": list("xxyyzz")})
    return Atlas(labels=grid.flatten(box), regions=regions, origin="a test")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, grid: Grid, atlas: Atlas) -> Store:
    """Twelve subjects of 30 volumes at two sites, s00 twice. Label 1 couples regions 41 and 170; s01 lacks 255."""
    rng, labels = np.random.default_rng(0), atlas.labels
    path = tmp_path_factory.mktemp("store") / "cohort.zarr"
    with StoreWriter(path, grid=grid, atlas=atlas, settings={}, synthetic=True) as writer:
        for number, session in [*((number, 1) for number in range(12)), (0, 2)]:
            case, region = number % 2, rng.normal(size=(30, 256))
            region[:, 170] = case * region[:, 41] + (1 - case) * region[:, 170]
            signal = region[:, labels] + 0.5 * rng.normal(size=(30, len(labels)))
            signal = (signal - signal.mean(axis=0)) / signal.std(axis=0)
            covered = (labels != 255) | (number != 1)
            subject, (site, tr_s) = f"s{number:02d}", ("north", 2.0) if number < 7 else ("south", 2.5)
            row = {"scan": f"{subject}_{session}", "subject": subject, "site": site, "tr_s": tr_s, "dx": case}
            writer.add(row, signal * covered, 100 * covered, 1.0 * covered)
    return Store(path)


@pytest.fixture
def pretrained(grid: Grid, atlas: Atlas) -> Pretrained:
    """An untrained smoother over the atlas: windows of 8 volumes in 2 time patches, at most 8 voxels a chunk."""
    torch.manual_seed(0)
    tokens = TokensConfig(edge_voxels=2, window_volumes=8, patch_volumes=4, grow_mm=0)
    sizes = ModelConfig(width=24, layers=1, heads=6, queries=8, components=0)
    model = build_model(grid, atlas, tokens, sizes).eval()
    blank = np.zeros(len(grid.voxels), np.float32)
    return Pretrained(
        model=model, grid=grid, atlas=atlas, tokens=tokens, sizes=sizes,
        subjects=(), mean=blank, deviation=blank, about={},
    )  # fmt: skip


@pytest.fixture
def finished_run(store: Store, pretrained: Pretrained, tmp_path: Path) -> Path:
    """What `fmrifm pretrain` leaves of that model, with a score and a baseline."""
    config = PretrainConfig(store=str(store.path), out=str(tmp_path / "run"), tokens=pretrained.tokens)
    about = {"masking": asdict(MaskingConfig(kind="region")), "cleaning": asdict(CleaningConfig(high_pass_hz=0.01))}
    with run_folder("pretrain", config, store) as run:
        blank = pretrained.deviation.copy()  # safetensors keeps no array twice
        seen = replace(pretrained, about=about, subjects=("s00", "s01", "s02"), deviation=blank)
        save_pretrained(run.checkpoints / "best", seen)
        scores = {"r2_voxel": Score(0.25, 0.125, 0.5, 4)}
        run.write_metrics(scores, baselines={"prior": {"r2_voxel": Score(0.0625, -0.25, 0.75, 4)}})
    return run.path


@pytest.fixture
def bold_path(tmp_path: Path) -> Path:
    """A 4D run on disk: four unequal axes, 2 mm voxels, TR 1.5 s, seeded noise around 100."""
    data = 100 + np.random.default_rng(0).normal(size=(5, 6, 7, 20)).astype(np.float32)
    image = nib.Nifti1Image(data, affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header.set_zooms((2.0, 2.0, 2.0, 1.5))
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(path := tmp_path / "sub-01_task-rest_bold.nii.gz")
    return path


@pytest.fixture
def test_data() -> Path:
    """The folder of real files that FMRIFM_TEST_DATA names; without it the test is skipped."""
    if not (folder := os.environ.get("FMRIFM_TEST_DATA")):
        pytest.skip("needs real files: set FMRIFM_TEST_DATA to their folder")
    return Path(folder)
