"""The examples of "Add a source, a masker, an atlas, a head" do what they say, as they stand in the documentation."""

import runpy
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from fmrifm.config import MaskingConfig
from fmrifm.data import sources
from fmrifm.data.sources import find_scans
from fmrifm.data.store import Store
from fmrifm.masking import MASKERS, hidden_share, masker_for
from fmrifm.model import connectivity
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained
from fmrifm.training.transfer import carried_over

EXAMPLES = Path(__file__).parents[2] / "docs" / "extending"


def run(name: str) -> MappingProxyType[str, Any]:
    return MappingProxyType(runpy.run_path(str(EXAMPLES / f"{name}.py")))


@pytest.fixture(autouse=True)
def registers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an example registers is forgotten after its test."""
    for module, name in ((sources, "SOURCES"), (connectivity, "CONNECTIVITY")):
        monkeypatch.setattr(module, name, dict(getattr(module, name)))
    before = dict(MASKERS)
    monkeypatch.setattr("fmrifm.masking.MASKERS", before)


@pytest.mark.parametrize("name", ["source", "masker", "atlas", "head"])
def test_an_example_is_under_40_lines(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 40


def test_the_source_finds_scans_by_its_word(tmp_path: Path) -> None:
    for site, subject, age in (("Oslo", "s1", "9.5"), ("Rome", "s2", "11")):
        (folder := tmp_path / site / subject).mkdir(parents=True)
        (folder / "rest.nii.gz").write_bytes(b"")
        (folder / "age.txt").write_text(age)
    run("source")
    found = find_scans("mine", tmp_path).records
    assert [(record.site, record.subject, record.columns["age"]) for record in found] == [
        ("Oslo", "s1", 9.5), ("Rome", "s2", 11.0),
    ]  # fmt: skip


def test_the_masker_keeps_the_budget_and_prefers_one_side(pretrained: Pretrained) -> None:
    run("masker")
    pool = pretrained.model.tokenizer.pool
    masker = masker_for(pool, MaskingConfig(kind="hemisphere", ratio=0.4))  # type: ignore[arg-type]
    mask = masker(64, torch.Generator().manual_seed(0))
    assert hidden_share(mask, pool) == pytest.approx(0.4, abs=0.05)
    assert masker.right.any()
    right = (masker.voxels * masker.right).sum()
    of_right = (mask[:, : len(masker.right)] * masker.voxels * masker.right).sum(dim=1) / right
    assert of_right.std() > 0.2


def test_the_atlas_serves_a_model_on_the_same_store(store: Store, pretrained: Pretrained) -> None:
    values = np.where(np.arange(len(store.grid.voxels)) % 2, 7, 201).astype(np.int32)
    regions = pd.DataFrame({"index": [7, 201], "name": ["odd", "even"], "system": ["x", "y"]})
    atlas = run("atlas")["my_atlas"](store.grid.image(values), regions, store.grid)
    assert (atlas.labels == values).all()
    assert carried_over(pretrained, store.grid, atlas).model.tokenizer.values.tolist() == [7, 201]


def test_the_head_averages_correlations_by_system(pretrained: Pretrained, store: Store) -> None:
    run("head")
    pooling = connectivity.CONNECTIVITY["systems"](pretrained.model.tokenizer)  # type: ignore[index]
    correlation = torch.rand(2, 6, 6, generator=torch.Generator().manual_seed(0)) - 0.5
    correlation = (correlation + correlation.mT) / 2
    z = torch.atanh(correlation)
    found = pooling.vectorise(correlation)
    assert found.shape == (2, pooling.size) == (2, 6)
    assert found[0, 0] == pytest.approx(z[0, 0, 1].item())  # system x: regions 0 and 1
    assert found[0, 1] == pytest.approx(z[0, :2, 2:4].mean().item())
    assert ScanClassifier(pretrained.model, "connectivity").linear.in_features == 15
