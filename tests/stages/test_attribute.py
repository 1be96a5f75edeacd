import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from fmrifm.config import AttributeConfig
from fmrifm.data.store import Store
from fmrifm.errors import CheckpointError, ConfigError
from fmrifm.stages.attribute import attribute
from fmrifm.stages.pretrain import pretrain

METHODS = [
    "fidelity", "contribution", "occlusion", "integrated_gradients", "gradient_x_input", "rollout", "connectome",
]  # fmt: skip
SYSTEM_COLUMNS = ["system", "method", "n_voxels", "coverage", "importance", "ci_low", "ci_high", "p_fdr", "rank"]


@pytest.fixture(scope="module")
def regions(attributed_run) -> pd.DataFrame:
    return pd.read_csv(attributed_run / "regions.tsv", sep="\t")


def test_a_run_leaves_the_files_that_others_read(attributed_run):
    assert {file.name for file in attributed_run.iterdir()} == {
        "config.yaml", "scans.tsv", "regions.tsv", "systems.tsv", "subjects.parquet", "checks.tsv", "curves.tsv",
        "region_details.tsv", "stability.tsv",
        "contributions.npz", "importance.nii.gz", "metrics.json", "provenance.json", "computed",
    }  # fmt: skip


def test_there_is_one_row_a_region_and_method(regions):
    assert list(regions) == ["index", "name", *SYSTEM_COLUMNS]
    for method, table in regions.groupby("method"):
        assert table["index"].tolist() == [10, 20, 30, 40, 50, 60, 70]
        assert sorted(table["rank"].dropna()) == [1, 2, 3, 4, 5, 6], method
        known = table.dropna(subset=["importance"])
        assert ((known["ci_low"] <= known["importance"]) & (known["importance"] <= known["ci_high"])).all()
    assert regions["method"].unique().tolist() == METHODS


def test_a_region_without_a_voxel_is_named_and_has_no_figure(regions):
    lost = regions[regions["index"] == 70]
    assert lost["name"].tolist() == ["Thal_Re_L"] * 7
    assert lost["n_voxels"].tolist() == [0] * 7
    assert lost[["importance", "ci_low", "ci_high", "p_fdr", "rank"]].isna().all(axis=None)


def test_systems_sum_up_their_regions(attributed_run, regions):
    systems = pd.read_csv(attributed_run / "systems.tsv", sep="\t")
    assert list(systems) == SYSTEM_COLUMNS
    assert systems["system"].tolist() == ["Frontal", "Limbic"] * 7
    voxels = regions.groupby(["method", "system"])["n_voxels"].sum()
    for row in systems.itertuples():
        assert row.n_voxels == voxels[row.method, row.system]


def test_the_planted_regions_lead_the_ranking(attributed_run, regions):
    occlusion = regions[regions["method"] == "occlusion"].set_index("index")
    assert set(occlusion["importance"].nlargest(3).index) == {10, 20, 30}
    scores = json.loads((attributed_run / "metrics.json").read_text())["scores"]
    assert set(scores) == {f"auc_planted_{method}" for method in METHODS}
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
    assert table["method"].unique().tolist() == ["fidelity", "contribution"]


def test_occlusion_wants_a_classifier_and_leaves_no_folder_without(on_runs, tmp_path):
    settings = {**on_runs(""), "out": str(tmp_path / "run"), "methods": ("occlusion",)}
    with pytest.raises(CheckpointError, match="no classifier here"):
        attribute(AttributeConfig(**settings))
    assert not (tmp_path / "run").exists()


def test_who_only_learnt_to_predict_has_no_fidelity(on_runs, pretrain_settings, tmp_path):
    predicts = pretrain(pretrain_settings(tmp_path / "next", {"max_epochs": 1}, objective="next"))
    settings = {**on_runs("", predicts), "out": str(tmp_path / "run"), "methods": ("fidelity",)}
    with pytest.raises(CheckpointError, match="--objective next, so that it does not reconstruct"):
        attribute(AttributeConfig(**settings))


def test_a_run_that_goes_on_keeps_what_was_computed_and_ends_alike(on_runs, finetuned_run, attributed_run):
    few = {"windows_per_scan": 2, "bootstrap": 50, "groups": 2, "check_scans": 6}
    settings = {**on_runs("attribute_again", finetuned_run), **few}
    methods = ("fidelity", "occlusion")
    out = attribute(AttributeConfig(**settings, methods=methods))
    first = pd.read_csv(out / "regions.tsv", sep="\t")
    kept = out / "computed" / "occlusion"
    times = {file.name: file.stat().st_mtime_ns for file in kept.iterdir()}
    (lost := next(kept.iterdir())).unlink()
    attribute(AttributeConfig(**settings, methods=methods, resume=True))
    pd.testing.assert_frame_equal(pd.read_csv(out / "regions.tsv", sep="\t"), first)
    assert {file.name for file in kept.iterdir() if file.stat().st_mtime_ns != times[file.name]} == {lost.name}
    whole = pd.read_csv(attributed_run / "regions.tsv", sep="\t")
    pd.testing.assert_frame_equal(
        whole[whole["method"] == "occlusion"].reset_index(drop=True),
        first[first["method"] == "occlusion"].reset_index(drop=True),
    )


def test_other_settings_are_another_run(on_runs, finetuned_run, attributed_run):
    settings = {**on_runs("attribute", finetuned_run), "windows_per_scan": 1, "bootstrap": 50, "groups": 2}
    with pytest.raises(ConfigError, match="windows_per_scan 2, not 1"):
        attribute(AttributeConfig(**settings, check_scans=6, resume=True))


def test_subjects_have_a_row_a_region_and_method(attributed_run):
    table = pd.read_parquet(attributed_run / "subjects.parquet")
    assert list(table) == ["subject", "site", "label", "method", "index", "name", "coverage", "total", "mean"]
    assert table["method"].unique().tolist() == METHODS
    counts = table.groupby("method").size()
    assert counts["fidelity"] == 12 * 6
    assert counts["occlusion"] == 11 * 6  # s11 has no label
    occlusion = table[table["method"] == "occlusion"]
    half = occlusion.pivot_table(index="index", columns="label", values="total") @ [-0.5, 0.5]
    importance = pd.read_csv(attributed_run / "regions.tsv", sep="\t").query("method == 'occlusion' and index != 70")
    assert importance["importance"].tolist() == pytest.approx(half.tolist())
    voxels = importance.set_index("index")["n_voxels"]
    assert (occlusion["total"] / occlusion["index"].map(voxels)).tolist() == pytest.approx(occlusion["mean"].tolist())


def test_every_ranking_of_the_classifier_has_its_checks(attributed_run):
    checks = pd.read_csv(attributed_run / "checks.tsv", sep="\t").set_index(["method", "check"])
    for method in ("occlusion", "integrated_gradients", "gradient_x_input"):
        for check in ("randomised_weights", "planted_randomised_weights", "permuted_labels", "deletion", "insertion"):
            assert (method, check) in checks.index
    assert ("rollout", "randomised_weights") in checks.index
    assert ("connectome", "permuted_labels") in checks.index
    assert checks.loc[("integrated_gradients", "completeness"), "value"] <= 0.02


def test_gradients_add_up_over_regions_to_those_of_the_whole_scan(attributed_run):
    for file in (attributed_run / "computed" / "gradients").iterdir():
        values = np.load(file)
        assert values["integrated_gradients"].shape == (5, 7)  # the own layer and four shuffled; six regions, the rest
        assert (values["integrated_gradients"][0, -1], values["gradient_x_input"][0, -1]) == (0, 0)


def test_contributions_are_a_matrix_over_the_regions_on_the_grid(attributed_run):
    found = np.load(attributed_run / "contributions.npz")
    assert found["index"].tolist() == [10, 20, 30, 40, 50, 60]
    assert found["contribution"].shape == found["se"].shape == (6, 6)
    assert np.isnan(np.diag(found["contribution"])).all()


def test_a_trained_encoder_is_explained_without_shuffled_labels(on_runs, fully_finetuned_run):
    settings = {**on_runs("attribute_full", fully_finetuned_run), "methods": ("occlusion",), "windows_per_scan": 1}
    checks = pd.read_csv(attribute(AttributeConfig(**settings, bootstrap=10, check_scans=4)) / "checks.tsv", sep="\t")
    assert "randomised_weights" in set(checks["check"])
    assert "permuted_labels" not in set(checks["check"])


def test_the_path_may_start_at_another_subject(on_runs, finetuned_run):
    settings = {**on_runs("attribute_subject", finetuned_run), "methods": ("gradients",), "start": "subject"}
    out = attribute(AttributeConfig(**settings, windows_per_scan=1, bootstrap=10, check_scans=2))
    checks = pd.read_csv(out / "checks.tsv", sep="\t").set_index("check")
    assert checks.loc["completeness", "value"] <= 0.02


def test_labels_are_compared_for_every_method_and_totals_stand_beside_voxel_means(attributed_run):
    details = pd.read_csv(attributed_run / "region_details.tsv", sep="\t")
    assert details["method"].unique().tolist() == METHODS
    assert details[["difference", "p", "p_fdr"]].notna().all(axis=None)
    occlusion = details[details["method"] == "occlusion"]
    assert (occlusion["total"] / occlusion["n_voxels"]).tolist() == pytest.approx(occlusion["mean"].tolist())
    assert details.loc[details["method"] == "fidelity", "correlation"].notna().all()
    left = occlusion.set_index("name")["asymmetry"]
    assert left["Insula_L"] == pytest.approx(-left["Insula_R"])


def test_every_two_folds_have_their_rankings_compared(attributed_run):
    table = pd.read_csv(attributed_run / "stability.tsv", sep="\t")
    assert set(table["method"]) == set(METHODS) - {"fidelity", "contribution"}
    assert table.groupby("method").size().tolist() == [3] * 5
    assert (table["k"] == 6).all()
