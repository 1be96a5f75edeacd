from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

import nibabel as nib
import numpy as np
import pytest
import torch
from nilearn.image import resample_img

from fmrifm.config import CleaningConfig, Connectivity, Encoding, PoolingKind, TokenKind
from fmrifm.data.grid import Grid
from fmrifm.data.preprocess import prepare_scan
from fmrifm.data.scan import ScanRecord
from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter
from fmrifm.data.windows import Windows
from fmrifm.errors import ConfigError, DataError
from fmrifm.evaluation.embedding import device_named, embed_scan, feature_names, vectorise
from fmrifm.evaluation.probe import scan_summaries
from fmrifm.model.connectivity import CONNECTIVITY
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained, build_model

CLEANING = CleaningConfig(detrend=True, high_pass_hz=0.02, tr_s=1.5)


def saved(path: Path, image: nib.Nifti1Image, tr_s: float = 2.0) -> ScanRecord:
    image.header.set_zooms((*image.header.get_zooms()[:3], tr_s))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return ScanRecord(path=path, subject="s")


@pytest.fixture
def run(grid: Grid) -> nib.Nifti1Image:
    """A run on the grid: regions far larger than a voxel, so that moving it loses little."""
    rng, far = np.random.default_rng(0), grid.coordinates_mm @ [0.1, 0.2, 0.3]
    waves = np.sin(far[:, None] + rng.normal(size=30).cumsum()) + 0.02 * rng.normal(size=(len(far), 30))
    return grid.image((100 + 10 * waves).astype(np.float32))


@pytest.mark.parametrize("cleaning", [CleaningConfig(), CLEANING])
@pytest.mark.parametrize("encoding", ["float16", "int8"])
def test_a_file_embeds_bit_for_bit_as_its_entry_in_the_models_store(
    encoding: Encoding, cleaning: CleaningConfig, run: nib.Nifti1Image, pretrained: Pretrained, tmp_path: Path
) -> None:
    record = saved(tmp_path / "run.nii.gz", run)
    scan = prepare_scan(record, pretrained.grid, cleaning)
    with StoreWriter(
        tmp_path / "store", grid=pretrained.grid, atlas=pretrained.atlas, settings={}, encoding=encoding
    ) as writer:
        row = {"scan": "s", "tr_s": scan.tr_s, "segments": scan.segments}
        writer.add(row, scan.signal, scan.mean, scan.deviation)
    told = replace(pretrained, about={"cleaning": asdict(cleaning), "encoding": encoding})
    classifier = ScanClassifier(told.model, "connectivity").eval()
    summary, facts = embed_scan(record, told, classifier)
    windows = Windows(Store(tmp_path / "store"), ["s"], told.tokens.window_volumes)
    assert torch.equal(summary, scan_summaries(classifier, windows, [0]))
    assert facts["n_windows"] == len(windows.cover(0))
    assert (facts["own_tr_s"], facts["tr_s"]) == (2.0, cleaning.tr_s or 2.0)


@pytest.mark.parametrize("edge_mm", [1.0, 1.5])
def test_a_run_on_another_grid_embeds_much_the_same_and_is_said_to_be_resampled(
    edge_mm: float, run: nib.Nifti1Image, pretrained: Pretrained, tmp_path: Path
) -> None:
    """Finer grids only: coarser voxels would mix regions that are a voxel thin here."""
    classifier = ScanClassifier(pretrained.model, "connectivity").eval()
    ours, there = embed_scan(saved(tmp_path / "a.nii", run), pretrained, classifier)
    affine = np.diag([edge_mm, edge_mm, edge_mm, 1.0])
    affine[:3, 3] = run.affine[:3, 3]
    shape = [int(np.ceil(n * 2 / edge_mm)) + 1 for n in run.shape[:3]]
    full = nib.Nifti1Image(np.where(run.get_fdata() == 0, 100.0, run.get_fdata()).astype(np.float32), run.affine)
    moved = resample_img(full, affine, shape, interpolation="linear", force_resample=True, copy_header=True)
    theirs, elsewhere = embed_scan(saved(tmp_path / "b.nii", moved), pretrained, classifier)
    assert (there["resampled"], elsewhere["resampled"]) == (False, True)
    assert elsewhere["own_voxel_mm"] == " x ".join([f"{edge_mm:g}"] * 3)
    edges = np.triu_indices(6, k=1)
    assert np.corrcoef(ours[0][edges], theirs[0][edges])[0, 1] > 0.9


def test_the_repetition_time_reaches_the_encoder(run: nib.Nifti1Image, pretrained: Pretrained, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # blocks begin near the identity, where time tells nothing
        for weight in pretrained.model.encoder.blocks.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator)
    classifier = ScanClassifier(pretrained.model, "connectivity").eval()
    slow, fast = (
        embed_scan(saved(tmp_path / f"{tr_s}.nii", run, tr_s), pretrained, classifier) for tr_s in (3.0, 0.72)
    )
    assert (slow[1]["tr_s"], fast[1]["tr_s"]) == (3.0, pytest.approx(0.72))
    assert not torch.allclose(slow[0], fast[0], atol=1e-3)


def test_a_run_shorter_than_a_window_is_refused(run: nib.Nifti1Image, pretrained: Pretrained, tmp_path: Path) -> None:
    short = saved(tmp_path / "short.nii", run.slicer[..., :7])
    with pytest.raises(DataError, match=r"short.nii: 7 consecutive volumes, expected the 8 of the model's window"):
        embed_scan(short, pretrained, ScanClassifier(pretrained.model, "connectivity"))


def test_features_are_named_as_they_stand(pretrained: Pretrained) -> None:
    names = feature_names(pretrained, ScanClassifier(pretrained.model, "connectivity"))
    assert names[:6] == ["A~B", "A~C", "A~D", "A~E", "A~F", "B~C"]
    assert feature_names(pretrained, ScanClassifier(pretrained.model, "mean"))[-1] == "feature_23"


@pytest.mark.parametrize("kind", get_args(TokenKind))
@pytest.mark.parametrize(("pooling", "form"), [("mean", "correlation"), *(("connectivity", f) for f in CONNECTIVITY)])
def test_every_feature_of_every_model_has_a_name_of_its_own(
    kind: TokenKind,
    pooling: PoolingKind,
    form: Connectivity,
    pretrained: Pretrained,
    run: nib.Nifti1Image,
    tmp_path: Path,
) -> None:
    tokens = replace(pretrained.tokens, kind=kind)
    model = build_model(pretrained.grid, pretrained.atlas, tokens, pretrained.sizes)
    other = replace(pretrained, model=model, tokens=tokens)
    classifier = ScanClassifier(model, pooling, form).eval()
    summary, _ = embed_scan(saved(tmp_path / "run.nii", run), other, classifier)
    names = feature_names(other, classifier)
    assert len(set(names)) == len(names)
    assert vectorise(classifier, summary).shape == (1, len(names))


def test_a_device_that_is_none_is_refused() -> None:
    assert device_named("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match=r"device is abacus: .* Give auto, cpu or cuda"):
        device_named("abacus")
