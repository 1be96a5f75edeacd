"""A whole chain of run folders in the formats that the stages leave, with known numbers."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fmrifm.data.grid import mni_grid
from fmrifm.report.document import document
from fmrifm.report.page import run_page
from fmrifm.report.runs import Run, read_runs

SITES = {"Delta": 18, "Theta": 12}
SYSTEMS = {"Limbic": range(1, 7), "Cerebellum": range(7, 13), "Frontal": range(13, 25)}
PLANTED = [1, 2, 7]


def provenance(stage: str, **changes: Any) -> dict[str, Any]:
    cohort = {"name": "Planted trial", "synthetic": True, "atlas": "AAL3 approximation", "regions": 24}
    return {
        "stage": stage,
        "command": f"fmrifm {stage} --store planted.zarr --out runs/{stage}",
        "versions": {"fmrifm": "0.1.0", "python": "3.11.2", "torch": "2.9.0"},
        "config_hash": "0f3a",
        "store": "planted.zarr",
        "store_fingerprint": "c0ffee12",
        "git_commit": None,
        "seed": 0,
        "device": "cpu",
        "started": "2026-01-02T03:04:05",
        "wall_time_s": 83.2,
        "cohort": {**cohort, "rescued": ["LC_L"], "lost": ["Thal_Re_R"], "planted": PLANTED, **changes},
    }


def scan_table() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = []
    for site, count in SITES.items():
        for position in range(count):
            subject = f"{site[0]}{position:03d}"
            rows.append(
                {
                    "scan": f"{subject}_ses-1_run-1",
                    "subject": subject,
                    "site": site,
                    "tr_s": 2.0 if site == "Delta" else 2.5,
                    "n_volumes": 120,
                    "coverage": 0.9,
                    "dx": int(position % 3 == 0),
                    "age": round(float(generator.uniform(8, 17)), 1),
                }
            )
    return pd.DataFrame(rows)


def score(value: float, half: float = 0.05, n: int = 30) -> dict[str, float]:
    return {"value": value, "ci_low": value - half, "ci_high": value + half, "n": n}


def start_run(folder: Path, stage: str, metrics: Mapping[str, Any], **changes: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "provenance.json").write_text(json.dumps(provenance(stage, **changes)))
    (folder / "metrics.json").write_text(json.dumps({"baselines": {}, "folds": [], "leakage": [], **metrics}))
    (folder / "config.yaml").write_text("store: planted.zarr\ntarget: dx\n")
    scan_table().to_csv(folder / "scans.tsv", sep="\t", index=False)
    return folder


def write_pretrain(folder: Path, **changes: Any) -> Path:
    start_run(folder, "pretrain", {"scores": {"r2_voxel": score(0.31, 0.02), "r2_region": score(0.52)}}, **changes)
    (folder / "logs").mkdir()
    steps = np.arange(10, 401, 10)
    train = pd.DataFrame({"step": steps, "epoch": steps // 40, "train/loss": 0.65 + 0.4 * np.exp(-steps / 90)})
    ends = steps[3::4]
    skill = 0.31 * (1 - np.exp(-ends / 120))
    held_out = pd.DataFrame(
        {"step": ends, "val/loss": 1.02 - skill, "val/r2_voxel": skill - 0.01, "val/r2_region": 1.6 * skill}
    )
    pd.concat([train, held_out]).to_csv(folder / "logs" / "metrics.csv", index=False)
    np.savez(folder / "reconstruction.npz", **reconstruction_arrays())
    np.savez(folder / "time_course.npz", **time_course_arrays())
    return folder


def reconstruction_arrays() -> dict[str, Any]:
    """Smooth waves in the brain; the hidden left half comes back at half its size."""
    grid = mni_grid(8.0)
    x, y, z = grid.coordinates_mm.T
    waves = (1.5 * np.sin(x / 17) * np.cos(y / 23 + 0.5) + np.sin(z / 13) + 0.01).astype(np.float32)
    hidden = np.sin(x / 9) + np.cos(y / 14) > -0.4
    original = np.asarray(grid.image(waves).dataobj)
    reconstructed = np.asarray(grid.image(np.where(hidden, 0.5 * waves, waves).astype(np.float32)).dataobj)
    box = np.asarray(grid.image(hidden.astype(np.uint8)).dataobj).astype(bool)
    return {"original": original, "reconstructed": reconstructed, "hidden": box, "affine": grid.affine, "volume": 7}


def time_course_arrays() -> dict[str, Any]:
    """A wave over 40 volumes of 2 s, of which half its size comes back."""
    true = np.sin(np.arange(40) / 4)
    return {"region": "Hippocampus_L", "true": true, "predicted": true / 2, "tr_s": 2.0, "correlation": 1.0, "r2": 0.75}


def predictions() -> pd.DataFrame:
    table = scan_table()[["scan", "subject", "site"]]
    label = scan_table()["dx"]
    noise = np.random.default_rng(1).normal(0, 0.2, len(table))
    return table.assign(
        fold=np.arange(len(table)) // 3 % 3, label=label, probability=(0.35 + 0.3 * label + noise).clip(0, 1)
    )


def write_finetune(folder: Path, **changes: Any) -> Path:
    start_run(folder, "finetune", {"scores": {"auc": score(0.83)}}, **changes)
    predictions().to_csv(folder / "predictions.tsv", sep="\t", index=False)
    return folder


BASELINES = {"majority": 0.5, "site": 0.58, "phenotype": 0.61, "motion": 0.56, "connectome": 0.84, "untrained": 0.6}
"""AUC of each baseline of an evaluate run."""


def models(value: float) -> dict[str, Any]:
    near = {"balanced_accuracy": value - 0.08, "sensitivity": value - 0.12, "specificity": value - 0.05}
    return {"auc": score(value), **{name: score(near_value, 0.07) for name, near_value in near.items()}}


def difference(value: float, half: float = 0.08) -> dict[str, float]:
    t = {"fold_mean": value, "t_low": value - 0.1, "t_high": value + 0.1, "p": 0.04, "smallest": 0.11}
    return {**score(value, half), **t}


def differences(auc: float) -> dict[str, Any]:
    return {
        name: {"auc": difference(auc - value), "brier": difference(-0.1, 0.05)} for name, value in BASELINES.items()
    }


def write_evaluate(
    folder: Path, auc: float = 0.91, leakage: tuple[str, ...] = (), old: bool = False, **changes: Any
) -> Path:
    """Write what evaluate leaves; `old` as before there were differences, calibration and sites."""
    table = predictions().assign(repeat=0, threshold=0.5)
    tested = [rows["subject"].tolist() for _, rows in table.groupby("fold")]
    everyone = set(scan_table()["subject"])
    folds = [
        {"fold": k, "repeat": 0, "train": sorted(everyone - set(test)), "test": test} for k, test in enumerate(tested)
    ]
    baselines = {name: models(value) for name, value in BASELINES.items()}
    metrics: dict[str, Any] = {"baselines": baselines, "folds": folds, "leakage": list(leakage)}
    metrics["scores"] = models(auc)
    if not old:
        more = {"average_precision": score(0.7), "brier": score(0.19), "site_predictability": score(0.8)}
        metrics["scores"] = {**models(auc), **more, "auc": {**score(auc), "p": 0.004}}
        metrics["differences"] = differences(auc)
    start_run(folder, "evaluate", metrics, **changes)
    table.drop(columns=["repeat", "threshold"] if old else []).to_csv(folder / "predictions.tsv", sep="\t", index=False)
    if not old:
        _write_sites_and_calibration(folder)
    return folder


def _write_sites_and_calibration(folder: Path) -> None:
    sites = [["Delta", 18, 6, 0.333, 0.92, 0.8, 0.99], ["Theta", 12, 4, 0.333, 0.88, 0.7, 0.97]]
    columns = ["site", "n", "cases", "prevalence", "auc", "ci_low", "ci_high"]
    pd.DataFrame(sites, columns=columns).to_csv(folder / "sites.tsv", sep="\t", index=False)
    rows = [
        [model, k, predicted, observed, observed - 0.1, observed + 0.1, 6]
        for model, shift in {"classifier": 0.02, "connectome": -0.1, "site": 0.2}.items()
        for k, predicted in enumerate((0.1, 0.3, 0.5, 0.7))
        for observed in [predicted + shift]
    ]
    columns = ["model", "bin", "predicted", "observed", "ci_low", "ci_high", "n"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "calibration.tsv", sep="\t", index=False)


TRIAL: dict[str, dict[str, float]] = {
    "random": {"r2_voxel_random": 0.31, "r2_region_random": 0.50, "r2_voxel_region": 0.12, "auc": 0.62},
    "tube": {"r2_voxel_random": 0.28, "r2_region_random": 0.49, "r2_voxel_region": 0.14, "auc": 0.63},
    "region": {"r2_voxel_random": 0.22, "r2_region_random": 0.44, "r2_voxel_region": 0.21, "auc": 0.71},
    "untrained": {"r2_voxel_random": 0.0, "r2_region_random": 0.0, "r2_voxel_region": 0.0, "auc": 0.6},
    "connectome": {"auc": 0.69},
}
"""Scores of a compare run; intervals are 0.02 to each side, of differences 0.05."""


def trial_tables(level: Mapping[str, float]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Cells, maskers and differences of one level of the factors."""
    cells, maskers, compared = [], [], []
    for name, found in TRIAL.items():
        factors = {} if name == "connectome" else level
        for seed, fold in ((seed, fold) for seed in range(2) for fold in range(3)):
            trained = name not in ("untrained", "connectome")
            effort = {"updates": 200 if trained else None, "hidden_share": 0.75 if trained else None}
            cells.append({"masker": name, "seed": seed, "fold": fold, **factors, "n_train": 20, **effort, **found})
        for metric, value in found.items():
            maskers.append({"masker": name, **factors, "metric": metric, **score(value, 0.02)})
            if name != "random":
                gap = score(value - TRIAL["random"][metric], 0.05)
                row = {"masker": name, "reference": "random", **factors, "metric": metric, **gap, "p": 0.03}
                compared.append({**row, "boot_low": None, "boot_high": None, "n_folds": 6, "smallest": 0.07})
    return pd.DataFrame(cells), pd.DataFrame(maskers), pd.DataFrame(compared)


def write_compare(folder: Path, factor: Mapping[str, Sequence[float]] | None = None, **changes: Any) -> Path:
    start_run(folder, "compare", {"scores": {"auc_random": score(0.62)}}, **changes)
    levels = [{name: value} for name, values in (factor or {}).items() for value in values] or [{}]
    for place, name in enumerate(("cells", "maskers", "differences")):
        tables = [trial_tables(level)[place] for level in levels]
        pd.concat(tables).drop_duplicates().to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    return folder


LABEL_METHODS = ("occlusion", "integrated_gradients", "gradient_x_input", "connectome")
METHODS = (*LABEL_METHODS, "fidelity", "contribution", "rollout")


def region_rows(first: str, methods: Sequence[str]) -> pd.DataFrame:
    generator = np.random.default_rng(2)
    rows = []
    for method in methods:
        for system, members in SYSTEMS.items():
            for index in members:
                planted = index in PLANTED and method in LABEL_METHODS
                importance = float(generator.normal(0.01, 0.006)) + 0.08 * planted
                name = first if index == 1 else f"{system}_{index}_L"
                rows.append([index, name, system, method, 40 + index, 0.95, importance, 0.01 if planted else 0.4])
    columns = ["index", "name", "system", "method", "n_voxels", "coverage", "importance", "p_fdr"]
    return _ranked(pd.DataFrame(rows, columns=columns))


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    rank = table.groupby("method")["importance"].rank(ascending=False).astype(int)
    return table.assign(ci_low=table["importance"] - 0.01, ci_high=table["importance"] + 0.01, rank=rank)


def detail_rows(regions: pd.DataFrame) -> pd.DataFrame:
    """Total and per-voxel scores: the total is the importance, the rank per voxel turns the order round."""
    details = regions[["index", "name", "system", "method", "n_voxels"]].copy()
    has_total = regions["method"] != "fidelity"
    for name, values in {"total": regions["importance"].where(has_total), "mean": regions["importance"] / 50}.items():
        details = details.assign(**{name: values, f"{name}_low": values - 0.001, f"{name}_high": values + 0.001})
    details["rank_total"] = regions["rank"].where(has_total)
    details["rank_mean"] = 25 - regions["rank"]
    details = details.assign(label_0=-0.04, label_1=0.05, difference=0.09, difference_low=0.02, difference_high=0.16)
    details = details.assign(p=0.0021, p_fdr=0.013, asymmetry=0.003, asymmetry_low=-0.001, asymmetry_high=0.007)
    return details.assign(correlation=np.where(has_total, np.nan, 0.61))


CHECK_COLUMNS = ["method", "check", "other", "value", "low", "high", "expected"]


def check_rows() -> pd.DataFrame:
    """Sound checks for all methods, but for rollout, which random weights leave as it is."""
    rows: list[list[Any]] = []
    for method in METHODS:
        spoilt = 0.95 if method == "rollout" else 0.03
        rows.append([method, "randomised_weights", None, spoilt, spoilt - 0.04, spoilt + 0.04, 0.0])
        rows.append([method, "size", None, 0.55, 0.4, 0.65, None])
        rows.append([method, "size_mean", None, 0.02, -0.1, 0.2, None])
        rows.append([method, "tsnr", None, 0.12, 0.0, 0.3, None])
        if method in LABEL_METHODS:
            rows.append([method, "permuted_labels", None, 0.01, -0.1, 0.1, 0.0])
            rows.append([method, "planted_permuted_labels", None, 0.52, 0.3, 0.7, 0.5])
            low = -0.02 if method == "gradient_x_input" else 0.2
            rows.append([method, "deletion", None, low + 0.1, low, low + 0.2, None])
            rows.append([method, "insertion", None, low + 0.1, low, low + 0.2, None])
    rows.append(["integrated_gradients", "completeness", None, 0.002, None, None, 0.0])
    for place, method in enumerate(METHODS):
        for other in METHODS[place + 1 :]:
            value = 0.85 if {method, other} <= set(LABEL_METHODS) else 0.1
            rows.append([method, "agreement", other, value, value - 0.1, value + 0.1, None])
    return pd.DataFrame(rows, columns=CHECK_COLUMNS)


def curve_rows() -> pd.DataFrame:
    shares = np.array([0.02, 0.05, 0.1, 0.2, 0.4])
    ends = {"deletion": 0.9 - shares, "insertion": 0.6 + shares}
    rows = [
        {"method": method, "kind": kind, "order": "random" if method == "random" else "importance", "share": share}
        | {"value": 0.9 if (kind, method) == ("deletion", "random") else float(value)}
        for method in (*LABEL_METHODS, "random")
        for kind, values in ends.items()
        for share, value in zip(shares, values, strict=True)
    ]
    return pd.DataFrame(rows)


def stability_rows() -> pd.DataFrame:
    pairs = [(0, 1, 0.7), (0, 2, 0.5), (1, 2, 0.6)]
    rows = [
        [method, "folds", a, b, 6, 6, overlap, overlap, 10 / 24, 10]
        for method in LABEL_METHODS
        for a, b, overlap in pairs
    ]
    columns = ["method", "over", "a", "b", "n_a", "n_b", "spearman", "overlap", "chance", "k"]
    return pd.DataFrame(rows, columns=columns)


def contribution_arrays() -> dict[str, Any]:
    """Region 7 of the cerebellum gives 0.3 to region 1 of the limbic system; all else is within its noise."""
    lost = np.random.default_rng(3).normal(0, 0.005, (24, 24))
    lost[6, 0] = 0.3
    np.fill_diagonal(lost, np.nan)
    lost[2, 3] = np.nan
    return {"index": np.arange(1, 25), "contribution": lost, "se": np.full((24, 24), 0.02)}


def write_attribute(
    folder: Path, first: str = "Hippocampus_L", old: bool = False, methods: Sequence[str] = METHODS, **changes: Any
) -> Path:
    """Write what attribute leaves; `old` as before there were checks and details."""
    start_run(folder, "attribute", {"scores": {"auc_planted_occlusion": score(0.97)}}, **changes)
    regions = region_rows(first, ("fidelity", "occlusion") if old else methods)
    regions.to_csv(folder / "regions.tsv", sep="\t", index=False)
    means = {"n_voxels": "sum", "coverage": "mean", "importance": "mean", "p_fdr": "min"}
    systems = _ranked(regions.groupby(["system", "method"], as_index=False).agg(means))
    systems.to_csv(folder / "systems.tsv", sep="\t", index=False)
    _write_map(folder / "importance.nii.gz")
    if not old:
        tables = {"region_details": detail_rows(regions), "checks": check_rows(), "curves": curve_rows()}
        for name, table in {**tables, "stability": stability_rows()}.items():
            table.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
        np.savez(folder / "contributions.npz", **contribution_arrays())
    return folder


def _write_map(path: Path) -> None:
    grid = mni_grid(8.0)
    x, y, z = grid.coordinates_mm.T
    bump = 0.08 * np.exp(-((np.abs(x) - 26) ** 2 + (y + 22) ** 2 + (z + 14) ** 2) / 500)
    trough = 0.03 * np.exp(-(x**2 + (y - 50) ** 2 + (z - 10) ** 2) / 400)
    grid.image((bump - trough).astype(np.float32)).to_filename(path)


WRITERS: dict[str, Callable[..., Path]] = {
    "pretrain": write_pretrain,
    "finetune": write_finetune,
    "evaluate": write_evaluate,
    "compare": write_compare,
    "attribute": write_attribute,
}


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """Write the run folder of a stage, with changes, and read it back."""

    def make(stage: str, name: str | None = None, **changes: Any) -> Run:
        return read_runs([WRITERS[stage](tmp_path / (name or stage), **changes)])[0]

    return make


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """One run of every stage; read only."""
    folder = tmp_path_factory.mktemp("chain")
    return read_runs([write(folder / stage) for stage, write in WRITERS.items()])


@pytest.fixture(scope="session")
def page(chain: list[Run]) -> str:
    """The page over the whole chain."""
    return document(run_page(chain))
