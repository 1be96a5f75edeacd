import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from fmrifm.atlas import Atlas
from fmrifm.config import AtlasConfig, InfoConfig
from fmrifm.data.grid import Grid
from fmrifm.data.store_writer import StoreWriter
from fmrifm.errors import DataError
from fmrifm.stages.info import info

OFFLINE = AtlasConfig(path="absent.nii.gz")


def said(capsys: pytest.CaptureFixture, path: Path, atlas: AtlasConfig = OFFLINE) -> str:
    """What info prints, on one line with single blanks."""
    assert info(InfoConfig(path=str(path), atlas=atlas)) == path
    return " ".join(capsys.readouterr().out.split())


def test_a_scan_is_described_even_where_no_atlas_can_be_had(bold_path: Path, capsys: pytest.CaptureFixture) -> None:
    text = said(capsys, bold_path)
    assert "shape 5 x 6 x 7 x 20 voxel size 2 x 2 x 2 mm axes RAS repetition time 1.5 s (header: 1.5, sec)" in text
    assert "on the 4 mm grid no" in text
    assert "would refuse it: its field of view holds 0." in text  # 10 x 12 x 14 mm of the brain


def test_a_real_scan_without_an_atlas_says_what_is_missing(test_data: Path, capsys: pytest.CaptureFixture) -> None:
    text = said(capsys, test_data / "bold_mni" / "nura_sess1_bold.nii.gz")
    assert "brain mask covered 67.3%" in text
    assert "not known without an atlas: absent.nii.gz" in text


def test_a_real_scan_names_the_regions_it_lacks(test_data: Path, capsys: pytest.CaptureFixture) -> None:
    atlas = AtlasConfig(path=str(test_data / "aal3" / "AAL3v1_2mm.nii.gz"))
    text = said(capsys, test_data / "bold_mni" / "nura_sess1_bold.nii.gz", atlas)
    assert "AAL3 voxels covered 67.3%" in text
    assert "less than half covered 69: Frontal_Inf_Orb_2_L, Frontal_Inf_Orb_2_R, Olfactory_L" in text


def test_a_scan_that_prepare_would_refuse_is_still_described(test_data: Path, capsys: pytest.CaptureFixture) -> None:
    text = said(capsys, test_data / "bold_native" / "nibabel_anatomical_3D_bigendian.nii")
    assert "shape 33 x 41 x 25" in text
    assert "would refuse it: shape (33, 41, 25), expected 4 axes" in text


def test_a_store_is_counted_by_site_and_label(tmp_path: Path, grid: Grid, capsys: pytest.CaptureFixture) -> None:
    regions = pd.DataFrame({"index": [3, 4], "name": ["Alpha_L", "Omega_R"]})
    labels = np.where(np.arange(len(grid.voxels)) < 25, 3, 0).astype(np.int32)
    atlas = Atlas(labels=labels, regions=regions, origin="a test", lost=(4,))
    rows = [("a", "Oslo", 0, 2.0), ("b", "Oslo", 1, 2.0), ("c", "Rome", None, 2.5)]
    with StoreWriter(
        tmp_path / "s.zarr", grid=grid, atlas=atlas, settings={}, name="trio", synthetic=True, planted=[3]
    ) as writer:
        for key, site, dx, tr_s in rows:
            row = {"scan": key, "subject": key, "site": site, "dx": dx, "tr_s": tr_s, "coverage": 0.5}
            writer.add(row, np.zeros((30, len(labels))), np.zeros(len(labels)), np.ones(len(labels)))
    text = said(capsys, tmp_path / "s.zarr")
    assert "cohort trio (synthetic) scans 3 of 3 subjects volumes 30 to 30, 90 in all" in text
    assert "repetition times 2 s (2), 2.5 s (1)" in text
    assert "AAL3, from a test; labels 25% of the brain" in text
    assert "regions lost Omega_R planted regions Alpha_L" in text
    assert "site dx 0 dx 1 no label all Oslo 1 1 0 2 Rome 0 0 1 1 all 1 1 1 3" in text


def test_a_run_shows_its_provenance_scores_and_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "provenance.json").write_text(
        json.dumps({"stage": "finetune", "command": "fmrifm finetune", "seed": 3})
    )
    score = {"value": 0.7312, "ci_low": 0.61, "ci_high": 0.82, "n": 108}
    (tmp_path / "metrics.json").write_text(json.dumps({"scores": {"auc": score}, "folds": []}))
    (tmp_path / "checkpoints").mkdir()
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "checkpoints" / "best.safetensors")
    text = said(capsys, tmp_path)
    assert "stage finetune command fmrifm finetune seed 3" in text
    assert "score auc 0.731 (0.610 to 0.820), n = 108" in text
    assert "checkpoint checkpoints/best.safetensors" in text


def test_a_run_without_scores_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "provenance.json").write_text('{"stage": "pretrain"}')
    assert said(capsys, tmp_path).endswith("stage pretrain")


@pytest.mark.parametrize("name", ["best.safetensors", "."])
def test_a_checkpoint_shows_its_size_and_description(tmp_path: Path, name: str, capsys: pytest.CaptureFixture) -> None:
    save_file({"w": np.zeros((3, 5), np.float32), "b": np.zeros(2, np.float32)}, tmp_path / "best.safetensors")
    (tmp_path / "best.json").write_text(json.dumps({"format": 1, "model": {"width": 192}, "subjects": ["s"] * 300}))
    text = said(capsys, tmp_path / name)
    assert 'parameters 17 in 2 tensors format 1 model {"width": 192} subjects 300 entries' in text


def test_a_checkpoint_without_its_description_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "best.safetensors")
    assert "best.json is missing" in said(capsys, tmp_path / "best.safetensors")


def test_anything_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing that fmrifm knows here\. Expected a scan"):
        info(InfoConfig(path=str(tmp_path)))
    with pytest.raises(DataError, match="absent: nothing here"):
        info(InfoConfig(path=str(tmp_path / "absent")))


def test_an_untouched_store_is_verified_and_any_changed_byte_found(
    tmp_path: Path, grid: Grid, atlas: Atlas, capsys: pytest.CaptureFixture
) -> None:
    voxels = len(grid.voxels)
    with StoreWriter(path := tmp_path / "s.zarr", grid=grid, atlas=atlas, settings={}) as writer:
        row = {"scan": "a", "subject": "a", "site": "x", "tr_s": 2.0, "coverage": 1.0}
        writer.add(row, np.zeros((30, voxels)), np.ones(voxels), np.ones(voxels))
    info(InfoConfig(path=str(path), verify=True))
    assert "Every file holds the bytes that were written." in capsys.readouterr().out
    signal = path / "scans" / "a" / "signal" / "c" / "0" / "0"
    content = bytearray(signal.read_bytes())
    content[1234] ^= 1
    signal.write_bytes(content)
    (path / "labels" / "zarr.json").unlink()
    with pytest.raises(DataError, match="2 files differ from SHA256SUMS, listed above"):
        info(InfoConfig(path=str(path), verify=True))
    text = capsys.readouterr().out
    assert "scans/a/signal/c/0/0: changed" in text
    assert "labels/zarr.json: missing" in text


def test_only_stores_are_verified(bold_path: Path) -> None:
    with pytest.raises(DataError, match=r"SHA256SUMS: missing, so nothing can be verified\. Give a store"):
        info(InfoConfig(path=str(bold_path), verify=True))


def test_a_store_is_described_from_its_address(
    tmp_path: Path, grid: Grid, atlas: Atlas, capsys: pytest.CaptureFixture
) -> None:
    voxels = len(grid.voxels)
    with StoreWriter(path := tmp_path / "s.zarr", grid=grid, atlas=atlas, settings={}, name="far away") as writer:
        row = {"scan": "a", "subject": "a", "site": "x", "tr_s": 2.0, "coverage": 1.0}
        writer.add(row, np.zeros((30, voxels)), np.ones(voxels), np.ones(voxels))
    info(InfoConfig(path=f"file://{path}"))
    assert "far away" in capsys.readouterr().out
    with pytest.raises(DataError, match="only a store on this machine can be verified"):
        info(InfoConfig(path=f"file://{path}", verify=True))
