"""`fmrifm attribute`: which regions mattered, to reconstruction and to the classifier.

Leaves regions.tsv, systems.tsv, importance.nii.gz (the classifier's map where there is one, else
fidelity) and, where the cohort says what was planted in it, how well the ranking finds that.

Axes: S subjects, R regions on the grid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from fmrifm.attribution.fidelity import r2_by_scan, region_fidelity
from fmrifm.attribution.occlusion import region_occlusion
from fmrifm.attribution.regions import REGION_COLUMNS, region_table, system_table
from fmrifm.config import AttributeConfig
from fmrifm.data.quality import region_coverage
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.labels import labelled_scans
from fmrifm.evaluation.metrics import Score, auc_statistic, bootstrap
from fmrifm.evaluation.probe import scan_windows
from fmrifm.stages.folder import names, run_folder
from fmrifm.stages.inputs import long_enough, same_grid
from fmrifm.training.checkpoint import Pretrained, load_pretrained
from fmrifm.training.classifiers import FittedFold, load_folds


@dataclass(frozen=True, eq=False)
class Scores:
    """What a method says of each subject."""

    values: NDArray[np.float64]
    """Shape (S, R)."""
    coverage: NDArray[np.float64]
    """Share of each region's voxels that each subject's scans cover, shape (S, R)."""
    label: NDArray[np.int64] | None
    """Set where the importance is a difference between labels."""


def attribute(config: AttributeConfig) -> Path:
    """Attribute to regions and systems; return the run folder.

    Raises:
        CheckpointError: No model there, or occlusion asked of a run without a classifier.
        DataError: The store lies on another grid or atlas.
    """
    store, pretrained = Store(config.store), load_pretrained(config.checkpoint)
    same_grid(pretrained, store)
    methods: dict[str, Callable[[AttributeConfig, Store, Pretrained], Scores]] = {
        "fidelity": _fidelity,
        "occlusion": _occlusion,
    }
    with run_folder("attribute", config, store) as run:
        regions = pool_regions(pretrained)
        tables: dict[str, pd.DataFrame] = {}
        systems, scores = [], {}
        for method in config.methods:
            rng = np.random.default_rng(config.seed)
            found = methods[method](config, store, pretrained)
            arguments = (found.values, found.coverage, method, found.label, config.bootstrap, rng)
            tables[method] = _with_lost(region_table(regions, *arguments), pretrained)
            systems.append(system_table(regions, *arguments))
            if store.planted:
                scores[f"auc_planted_{method}"] = planted_auc(tables[method], store.planted, config.bootstrap, rng)
        pd.concat(tables.values()).to_csv(run.path / "regions.tsv", sep="\t", index=False)
        pd.concat(systems).to_csv(run.path / "systems.tsv", sep="\t", index=False)
        mapped = tables.get("occlusion", tables[config.methods[0]])
        importance_image(pretrained, mapped).to_filename(run.path / "importance.nii.gz")
        run.write_metrics(scores)
    return run.path


def pool_regions(pretrained: Pretrained) -> pd.DataFrame:
    """Regions on the grid in the order of the model's region numbers: index, name, system, n_voxels."""
    tokenizer = pretrained.model.tokenizer
    values, voxels = np.unique(tokenizer.region_of_voxel.numpy(), return_counts=True)
    count = voxels[values < tokenizer.regions]
    table = pretrained.atlas.regions.set_index("index").loc[tokenizer.values].reset_index()
    return table[["index", "name", "system"]].assign(n_voxels=count)


def planted_auc(table: pd.DataFrame, planted: list[int], resamples: int, rng: np.random.Generator) -> Score:
    """AUC of importance against planted regions, over the regions on the grid."""
    known = table.dropna(subset=["importance"])
    truth, value = known["index"].isin(planted).to_numpy(), known["importance"].to_numpy(float)
    statistic = auc_statistic(truth, value, np.zeros(len(known), np.int64), np.arange(len(known)))
    return bootstrap(statistic, len(known), resamples, rng)


def importance_image(pretrained: Pretrained, table: pd.DataFrame) -> nib.Nifti1Image:
    """Paint each region's importance over the voxels that the model gives it."""
    region = pretrained.model.tokenizer.region_of_voxel.numpy()
    values = table.set_index("index")["importance"].reindex(pretrained.model.tokenizer.values)
    painted = np.append(values.fillna(0.0).to_numpy(np.float32), np.float32(0.0))
    return pretrained.grid.image(painted[region])


def _fidelity(config: AttributeConfig, store: Store, pretrained: Pretrained) -> Scores:
    scans = _drawn(long_enough(store, pretrained.tokens.window_volumes), config)
    windows = Windows(store, scans["scan"].tolist(), pretrained.tokens.window_volumes)
    places = [place for scan in range(len(windows)) for place in windows.cover(scan, config.windows_per_scan)]
    batches = region_fidelity(pretrained.model, windows, places)
    parts = list(track(batches, description="Fidelity", total=-(-len(places) // 16), console=Console(stderr=True)))
    scores = r2_by_scan(parts, len(windows))
    return Scores(*_by_subject(scans, scores, _coverage(pretrained, store, scans)), label=None)


def _occlusion(config: AttributeConfig, store: Store, pretrained: Pretrained) -> Scores:
    _, folds = load_folds(Path(config.checkpoint))
    target = folds[0].target
    scans = _drawn(labelled_scans(long_enough(store, pretrained.tokens.window_volumes), target), config)
    judge = {subject: fold for fold in folds for subject in fold.test}
    scans = scans[scans["subject"].isin(judge)]
    windows = Windows(store, scans["scan"].tolist(), pretrained.tokens.window_volumes)
    rows = []
    for scan in track(range(len(windows)), description="Occlusion", console=Console(stderr=True)):
        fold: FittedFold = judge[scans["subject"].iloc[scan]]
        rows.append(region_occlusion(fold.classifier, *scan_windows(windows, scan, config.windows_per_scan)))
    scores, coverage = _by_subject(scans, np.stack(rows), _coverage(pretrained, store, scans))
    label = scans.groupby("subject", sort=True)["label"].first().to_numpy()
    return Scores(scores, coverage, label)


def _drawn(scans: pd.DataFrame, config: AttributeConfig) -> pd.DataFrame:
    if config.scans is None or config.scans >= len(scans):
        return scans
    return scans.sample(config.scans, random_state=config.seed).sort_values("scan")


def _coverage(pretrained: Pretrained, store: Store, scans: pd.DataFrame) -> NDArray[np.float64]:
    """Share of each region's voxels that each scan covers."""
    tokenizer = pretrained.model.tokenizer
    region, numbers = tokenizer.region_of_voxel.numpy(), np.arange(tokenizer.regions)
    return np.stack([region_coverage(region, numbers, store.covered(key)) for key in scans["scan"]])


def _by_subject(
    scans: pd.DataFrame, *values_SR: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average the scans of each subject, subjects sorted."""
    scores, coverage = (
        pd.DataFrame(values).groupby(scans["subject"].to_numpy(), sort=True).mean().to_numpy() for values in values_SR
    )
    return scores, coverage


def _with_lost(table: pd.DataFrame, pretrained: Pretrained) -> pd.DataFrame:
    """Add the regions that have no voxel on the grid, by name and without a figure."""
    absent = pretrained.atlas.regions[~pretrained.atlas.regions["index"].isin(table["index"])]
    if absent.empty:
        return table
    missing = ", ".join(names(pretrained.atlas, absent["index"].tolist()))
    Console(stderr=True).print(f"Without a voxel on this grid, so without a figure: {missing}")
    rows = absent[["index", "name", "system"]].assign(method=table["method"].iloc[0], n_voxels=0, coverage=0.0)
    return pd.concat([table, rows]).reindex(columns=REGION_COLUMNS).sort_values("index")
