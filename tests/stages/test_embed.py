import json
from dataclasses import asdict
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from fmrifm.cli import main
from fmrifm.config import EmbedConfig
from fmrifm.data.grid import Grid
from fmrifm.errors import ConfigError, DataError
from fmrifm.estimators import Embedder
from fmrifm.evaluation.remembered import model_state
from fmrifm.stages.embed import embed
from fmrifm.training.checkpoint import load_pretrained

FACTS = ["path", "own_tr_s", "tr_s", "n_volumes", "n_windows", "coverage", "own_voxel_mm", "resampled"]


@pytest.fixture
def scans(grid: Grid, tmp_path: Path) -> list[str]:
    """Two runs on the model's grid, of 20 and 23 volumes, and one that no model takes: a single volume."""
    rng, paths = np.random.default_rng(0), []
    for number, volumes in enumerate((20, 23, 1)):
        image = grid.image(100 + rng.normal(size=(len(grid.voxels), volumes)).astype(np.float32))
        image.header.set_zooms((2, 2, 2, 1.5 + number))
        image.header.set_xyzt_units("mm", "sec")
        nib.save(image, path := tmp_path / f"run{number}.nii.gz")
        paths.append(str(path))
    return paths


def config(run: Path, scans: list[str], out: Path, **changes: object) -> EmbedConfig:
    return EmbedConfig(checkpoint=str(run), scans=tuple(scans), out=str(out), **changes)


def test_every_scan_is_a_row_with_its_facts_and_features(finished_run: Path, scans: list[str], tmp_path: Path) -> None:
    out = embed(config(finished_run, scans, tmp_path / "features.parquet"))
    table = pd.read_parquet(out)
    assert list(table)[:9] == [*FACTS, "A~B"]
    assert table["path"].tolist() == scans[:2]
    assert table["n_volumes"].tolist() == [20, 23]
    assert table["n_windows"].tolist() == [3, 3]
    assert table["tr_s"].tolist() == [1.5, 2.5]
    assert not table["resampled"].any()
    features = Embedder(finished_run).fit_transform(scans[:2])
    np.testing.assert_array_equal(table.iloc[:, len(FACTS) :].to_numpy(), features)


def test_a_scan_that_cannot_be_used_is_named_with_the_reason(
    finished_run: Path, scans: list[str], tmp_path: Path
) -> None:
    embed(config(finished_run, scans, tmp_path / "features.parquet"))
    refused = pd.read_csv(tmp_path / "features_quarantine.tsv", sep="\t")
    assert refused["path"].tolist() == scans[2:]
    assert "expected 4 axes" in refused["reason"][0] or "1 volumes" in refused["reason"][0]
    assert scans[2] not in refused["reason"][0]


def test_what_made_the_features_stands_beside_them(finished_run: Path, scans: list[str], tmp_path: Path) -> None:
    asked = config(finished_run, scans, tmp_path / "features.tsv", connectivity="log_euclidean")
    embed(asked)
    made = json.loads((tmp_path / "features.json").read_text())
    assert made["settings"] == json.loads(json.dumps(asdict(asked)))
    assert made["model"] == model_state(load_pretrained(finished_run))
    assert (made["spacing_mm"], made["shape"], made["window_volumes"]) == ([2, 2, 2], [5, 6, 7], 8)
    assert made["about"]["cleaning"]["high_pass_hz"] == 0.01


def test_tsv_and_parquet_hold_the_same_numbers(finished_run: Path, scans: list[str], tmp_path: Path) -> None:
    binary = pd.read_parquet(embed(config(finished_run, scans[:2], tmp_path / "a.parquet")))
    text = pd.read_csv(embed(config(finished_run, scans[:2], tmp_path / "a.tsv")), sep="\t")
    pd.testing.assert_frame_equal(binary, text, check_dtype=False, rtol=1e-6)


@pytest.mark.parametrize("connectivity", ["tangent", "log_euclidean"])
def test_tangent_features_are_taken_at_the_mean_of_these_scans(
    connectivity: str, finished_run: Path, scans: list[str], tmp_path: Path
) -> None:
    table = pd.read_parquet(embed(config(finished_run, scans, tmp_path / "t.parquet", connectivity=connectivity)))
    features = Embedder(finished_run, connectivity=connectivity).fit_transform(scans[:2])
    np.testing.assert_array_equal(table.iloc[:, len(FACTS) :].to_numpy(), features)


def test_the_command_takes_files_and_wildcards_and_prints_where_the_table_is(
    finished_run: Path, scans: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = str(tmp_path / "features.tsv")
    words = ["--checkpoint", str(finished_run), "--scans", scans[0], str(tmp_path / "run[12].nii.gz"), "--out", out]
    assert main(["embed", *words]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [out]
    said = " ".join(shown.err.split())
    assert "Scans: 2 embedded, 0 of them resampled to the model's grid, 1 refused" in said
    assert pd.read_csv(out, sep="\t")["path"].tolist() == scans[:2]


def test_where_no_scan_can_be_used_it_ends_and_says_where_the_reasons_are(
    finished_run: Path, scans: list[str], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"None of 1 scans can be used; .*f_quarantine.tsv gives the reason"):
        embed(config(finished_run, scans[2:], tmp_path / "f.parquet"))
    assert not (tmp_path / "f.parquet").exists()


def test_a_table_that_exists_is_not_overwritten(finished_run: Path, scans: list[str], tmp_path: Path) -> None:
    (tmp_path / "f.tsv").touch()
    with pytest.raises(ConfigError, match=r"f.tsv: exists"):
        embed(config(finished_run, scans, tmp_path / "f.tsv"))


@pytest.mark.parametrize(
    ("scans", "out", "said"),
    [((), "f.tsv", "scans is none"), (("a.nii",), "f.csv", "ends in .parquet or .tsv"), (("a.nii",), "tsv", "ends in")],
)
def test_settings_that_cannot_work_are_refused(scans: tuple[str, ...], out: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        EmbedConfig(checkpoint="run", scans=scans, out=out)
