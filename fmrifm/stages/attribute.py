"""`fmrifm attribute`: which regions mattered, to reconstruction, to the classifier and to the connectome beside it.

Leaves regions.tsv, systems.tsv, region_details.tsv, subjects.parquet, stability.tsv, checks.tsv, curves.tsv,
contributions.npz, importance.nii.gz (the classifier's map where there is one, else fidelity), computed/ (scores of
every scan) and, where the cohort says what was planted in it, how well each ranking finds that.

Axes: S scans, R regions on the grid.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from rich.console import Console

from fmrifm.attribution.cohort import generator_of
from fmrifm.attribution.curves import KINDS, RANDOM, curve_checks, curve_table, heard_regions, log_odds
from fmrifm.attribution.ledger import Ledger
from fmrifm.attribution.regions import REGION_COLUMNS
from fmrifm.attribution.sanity import CHECK_COLUMNS, agreement, verdicts
from fmrifm.attribution.stability import STABILITY_COLUMNS
from fmrifm.attribution.tables import Explained
from fmrifm.config import AttributeConfig
from fmrifm.data.checksums import digest
from fmrifm.data.store import Store
from fmrifm.errors import CheckpointError
from fmrifm.evaluation.metrics import Score, auc_statistic, bootstrap
from fmrifm.stages.explanation import Task
from fmrifm.stages.folder import RunFolder, check_same_settings, names, run_folder
from fmrifm.stages.inputs import same_grid
from fmrifm.training.checkpoint import Pretrained, load_pretrained
from fmrifm.training.classifiers import load_folds

_MAY_DIFFER = ("out", "resume", "methods", "bootstrap", "permutations")
"""Settings on which nothing depends that is kept of a scan."""
_DRAWS = 3
"""Random orders of regions beside the curves of deletion and insertion."""


def attribute(config: AttributeConfig) -> Path:
    """Attribute to regions and systems; return the run folder.

    Raises:
        CheckpointError: No model there, or a method that needs a classifier of a run without one.
        DataError: The store lies on another grid or atlas.
        ConfigError: `resume` with other settings than those of the run.
    """
    store, pretrained = Store(config.store), load_pretrained(config.checkpoint)
    same_grid(pretrained, store)
    if "fidelity" in config.methods and "mask" not in pretrained.objective:
        raise CheckpointError(
            f"{config.checkpoint}: pretrained with --objective {pretrained.objective}, so that it does not reconstruct "
            "and has no fidelity. Leave fidelity out of --methods, or pretrain with --objective mask+next."
        )
    if config.resume:
        check_same_settings(config, _MAY_DIFFER)
    with run_folder("attribute", config, store, resume=config.resume) as run:
        task = Task(config, store, pretrained, Ledger(run.path / "computed"))
        if set(config.methods) != {"fidelity"}:
            load_folds(Path(config.checkpoint))  # refuses a run without a classifier before anything is computed
        task.ledger.check_source(store=store.fingerprint, checkpoint=_digest(Path(config.checkpoint)))
        found = [pair for method in config.methods for pair in task.scores(method, run.path)]
        explained = [Explained(cohort, scores, task.regions) for cohort, scores in found]
        _write(config, explained, task, run)
    return run.path


def _write(config: AttributeConfig, explained: Sequence[Explained], task: Task, run: RunFolder) -> None:
    pretrained, planted = task.pretrained, task.store.planted
    _name_lost(pretrained)
    tables = {one.method: _with_lost(one.region_table(config.bootstrap), pretrained) for one in explained}
    _to_tsv(pd.concat(tables.values()), run.path / "regions.tsv")
    _to_tsv(pd.concat([one.system_table(config.bootstrap) for one in explained]), run.path / "systems.tsv")
    pd.concat([one.subject_table() for one in explained]).to_parquet(run.path / "subjects.parquet", index=False)
    details = [one.details(config.bootstrap, config.permutations) for one in explained]
    _to_tsv(pd.concat(details), run.path / "region_details.tsv")
    stability = pd.concat([one.stability() for one in explained]).reindex(columns=STABILITY_COLUMNS)
    _to_tsv(stability, run.path / "stability.tsv")
    checks = [
        part for one in explained for part in (one.spoilt_checks(planted), one.ranking_checks(), one.completeness())
    ]
    checks.append(agreement({one.method: one.importance for one in explained}))
    ranked = [one for one in explained if one.scores.of_label]
    if ranked:
        curves, more = _curves(config, ranked, task)
        _to_tsv(curves, run.path / "curves.tsv")
        checks.append(more)
    checked = pd.concat(checks).reindex(columns=CHECK_COLUMNS)
    _to_tsv(checked, run.path / "checks.tsv")
    for sentence in verdicts(checked):
        Console(stderr=True, highlight=False).print(sentence)
    mapped = tables.get("occlusion", next(iter(tables.values())))
    importance_image(pretrained, mapped).to_filename(run.path / "importance.nii.gz")
    scores = {}
    for method, table in tables.items() if planted else ():
        scores[f"auc_planted_{method}"] = planted_auc(
            table, planted or [], config.bootstrap, generator_of(config.seed, 6)
        )
    run.write_metrics(scores)


def _curves(config: AttributeConfig, ranked: Sequence[Explained], task: Task) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let the classifiers judge with the leading regions silenced or alone, by every ranking and by chance."""
    cohort, judged = task.tested, task.judges
    rng = generator_of(config.seed, 7)
    orders = {one.method: np.argsort(-np.nan_to_num(one.importance, nan=-np.inf), kind="stable") for one in ranked}
    chance = [rng.permutation(cohort.regions) for _ in range(_DRAWS)]
    heard = {
        (name, kind): heard_regions(order, cohort.voxels, kind) for name, order in orders.items() for kind in KINDS
    }
    drawn = {(RANDOM, kind): [heard_regions(order, cohort.voxels, kind) for order in chance] for kind in KINDS}
    rows = np.concatenate([*heard.values(), *(part for parts in drawn.values() for part in parts)])
    place = replace(cohort, ledger=Ledger(task.ledger.folder / "-".join(orders)))  # another ranking, other curves
    found = place.each("curves", lambda scan: {"odds": log_odds(judged.of(scan), *cohort.signal(scan), rows)})["odds"]
    parts = np.split(found, len(rows) // len(next(iter(heard.values()))), axis=1)
    odds = {key: parts.pop(0) for key in heard} | {
        key: np.stack([parts.pop(0) for _ in range(_DRAWS)], axis=1) for key in drawn
    }
    case, fold = cohort.scans["label"].to_numpy() > 0, cohort.scans["fold"].to_numpy()
    return curve_table(odds, case, fold), curve_checks(odds, case, fold, config.bootstrap, rng)


def planted_auc(table: pd.DataFrame, planted: list[int], resamples: int, rng: np.random.Generator) -> Score:
    """AUC of importance against planted regions, over the regions on the grid."""
    known = table.dropna(subset=["importance"])
    if known.empty:
        return Score(np.nan, np.nan, np.nan, 0)
    truth, value = known["index"].isin(planted).to_numpy(), known["importance"].to_numpy(float)
    statistic = auc_statistic(truth, value, np.zeros(len(known), np.int64), np.arange(len(known)))
    return bootstrap(statistic, len(known), resamples, rng)


def importance_image(pretrained: Pretrained, table: pd.DataFrame) -> nib.Nifti1Image:
    """Paint each region's importance over the voxels that the model gives it."""
    region = pretrained.model.tokenizer.region_of_voxel.numpy()
    values = table.set_index("index")["importance"].reindex(pretrained.model.tokenizer.values)
    painted = np.append(values.fillna(0.0).to_numpy(np.float32), np.float32(0.0))
    return pretrained.grid.image(painted[region])


def _with_lost(table: pd.DataFrame, pretrained: Pretrained) -> pd.DataFrame:
    """Add the regions that have no voxel on the grid, by name and without a figure."""
    absent = pretrained.atlas.regions[~pretrained.atlas.regions["index"].isin(table["index"])]
    if absent.empty:
        return table
    rows = absent[["index", "name", "system"]].assign(method=table["method"].iloc[0], n_voxels=0, coverage=0.0)
    return pd.concat([table, rows]).reindex(columns=REGION_COLUMNS).sort_values("index")


def _digest(checkpoint: Path) -> str:
    """Digest of the weights of a run, or of one file."""
    files = [checkpoint] if checkpoint.is_file() else sorted(checkpoint.rglob("*.safetensors"))
    return hashlib.sha256("".join(map(digest, files)).encode()).hexdigest()


def _name_lost(pretrained: Pretrained) -> None:
    if lost := pretrained.atlas.lost:
        missing = ", ".join(names(pretrained.atlas, lost))
        Console(stderr=True).print(f"Without a voxel on this grid, so without a figure: {missing}")


def _to_tsv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, sep="\t", index=False)
