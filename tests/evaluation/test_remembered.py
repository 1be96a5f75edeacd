from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from joblib import Memory

from fmrifm.data.grid import Grid
from fmrifm.evaluation.remembered import model_state, remembering
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained, load_pretrained, save_pretrained


@pytest.fixture
def path(grid: Grid, tmp_path: Path) -> Path:
    """A run on the grid as fMRIPrep names one, with a mask that holds all of it."""
    rng = np.random.default_rng(0)
    image = grid.image(100 + rng.normal(size=(len(grid.voxels), 20)).astype(np.float32))
    image.header.set_zooms((2, 2, 2, 2))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path := tmp_path / "sub-1_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii")
    nib.save(grid.image(np.ones(len(grid.voxels), np.uint8)), mask_of(path))
    return path


def mask_of(path: Path) -> Path:
    return path.with_name(path.name.replace("preproc_bold", "brain_mask"))


def test_a_scan_is_read_once_while_file_mask_and_model_stay(
    path: Path, pretrained: Pretrained, grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = ScanClassifier(pretrained.model, "connectivity").eval()
    memory = Memory(tmp_path / "memory", verbose=0)

    def embed(state: str = "a") -> torch.Tensor:
        return remembering(memory, (state,), pretrained, classifier)(path)[0]

    first = embed()
    with monkeypatch.context() as patched:
        patched.setattr("fmrifm.evaluation.remembered.embed_scan", lambda *_: (torch.zeros(1), {}))
        assert torch.equal(embed(), first)
        assert torch.equal(embed("b"), torch.zeros(1))
    half = np.arange(len(grid.voxels)) % 2
    nib.save(grid.image(half.astype(np.uint8)), mask_of(path))
    assert not torch.allclose(embed(), first, atol=1e-3)


def test_models_are_told_apart_by_weights_and_preparation_and_not_by_where_they_lie(
    pretrained: Pretrained, tmp_path: Path
) -> None:
    told = replace(pretrained, deviation=pretrained.deviation.copy(), about={"encoding": "int8", "cleaning": {}})
    read = [load_pretrained(save_pretrained(tmp_path / name, told)) for name in ("a", "b")]
    cleaned = replace(told, about={"encoding": "int8", "cleaning": {"detrend": True}})
    states = [model_state(model) for model in (told, *read, cleaned)]
    with torch.no_grad():
        next(read[0].model.encoder.parameters()).add_(1)
    states.append(model_state(read[0]))
    assert states[0] == states[1] == states[2]
    assert len(set(states)) == 3
