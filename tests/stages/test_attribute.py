import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from fmrifm.config import AttributeConfig
from fmrifm.data.store import Store
from fmrifm.errors import CheckpointError
from fmrifm.stages.attribute import attribute

SYSTEM_COLUMNS = ["system", "method", "n_voxels", "coverage", "importance", "ci_low", "ci_high", "p_fdr", "rank"]


@pytest.fixture(scope="module")
def regions(attributed_run) -> pd.DataFrame:
    return pd.read_csv(attributed_run / "regions.tsv", sep="\t")


def test_a_run_leaves_the_files_that_others_read(attributed_run):
    assert {file.name for file in attributed_run.iterdir()} == {
        "config.yaml", "scans.tsv", "regions.tsv", "systems.tsv", "importance.nii.gz", "metrics.json",
        "provenance.json",
    }  # fmt: skip


def test_there_is_one_row_a_region_and_method(regions):
    assert list(regions) == ["index", "name", *SYSTEM_COLUMNS]
    for _, table in regions.groupby("method"):
        assert table["index"].tolist() == [10, 20, 30, 40, 50, 60, 70]
        assert sorted(table["rank"].dropna()) == [1, 2, 3, 4, 5, 6]
        known = table.dropna(subset=["importance"])
        assert ((known["ci_low"] <= known["importance"]) & (known["importance"] <= known["ci_high"])).all()
    assert regions["method"].unique().tolist() == ["fidelity", "occlusion"]


def test_a_region_without_a_voxel_is_named_and_has_no_figure(regions):
    lost = regions[regions["index"] == 70]
    assert lost["name"].tolist() == ["Thal_Re_L"] * 2
    assert lost["n_voxels"].tolist() == [0, 0]
    assert lost[["importance", "ci_low", "ci_high", "p_fdr", "rank"]].isna().all(axis=None)


def test_systems_sum_up_their_regions(attributed_run, regions):
    systems = pd.read_csv(attributed_run / "systems.tsv", sep="\t")
    assert list(systems) == SYSTEM_COLUMNS
    assert systems["system"].tolist() == ["Frontal", "Limbic"] * 2
    voxels = regions.groupby(["method", "system"])["n_voxels"].sum()
    for row in systems.itertuples():
        assert row.n_voxels == voxels[row.method, row.system]


def test_the_planted_regions_lead_the_ranking(attributed_run, regions):
    occlusion = regions[regions["method"] == "occlusion"].set_index("index")
    assert set(occlusion["importance"].nlargest(3).index) == {10, 20, 30}
    scores = json.loads((attributed_run / "metrics.json").read_text())["scores"]
    assert set(scores) == {"auc_planted_fidelity", "auc_planted_occlusion"}
    assert {"value": 1.0, "n": 6}.items() <= scores["auc_planted_occlusion"].items()


def test_the_map_shows_the_classifiers_regions_on_the_grid(attributed_run, regions, store_path):
    store = Store(store_path)
    image = nib.load(attributed_run / "importance.nii.gz")
    assert store.grid.holds(image)
    values = store.grid.flatten(image.get_fdata())
    importance = regions[regions["method"] == "occlusion"].set_index("index")["importance"]
    np.testing.assert_allclose(values, importance[store.atlas.labels], rtol=1e-5)


def test_a_pretraining_run_serves_for_fidelity_alone(on_runs):
    settings = {**on_runs("fidelity"), "methods": ("fidelity",), "scans": 3, "windows_per_scan": 1, "bootstrap": 10}
    table = pd.read_csv(attribute(AttributeConfig(**settings)) / "regions.tsv", sep="\t")
    assert table["method"].unique().tolist() == ["fidelity"]


def test_occlusion_wants_a_classifier_and_leaves_no_folder_without(on_runs, tmp_path):
    settings = {**on_runs(""), "out": str(tmp_path / "run"), "methods": ("occlusion",)}
    with pytest.raises(CheckpointError, match="no classifier here"):
        attribute(AttributeConfig(**settings))
    assert not (tmp_path / "run").exists()
