"""`fmrifm attribute`: which regions mattered, to reconstruction, to the classifier and to the connectome beside it.

Leaves regions.tsv, systems.tsv, region_details.tsv, subjects.parquet, stability.tsv, checks.tsv, curves.tsv,
contributions.npz, importance.nii.gz (the classifier's map where there is one, else fidelity), computed/ (scores of
every scan) and, where the cohort says what was planted in it, how well each ranking finds that.

Axes: S scans, R regions on the grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from rich.console import Console

from fmrifm.attribution import methods
from fmrifm.attribution.cohort import Cohort, Judges, generator_of
from fmrifm.attribution.curves import KINDS, RANDOM, curve_checks, curve_table, heard_regions, log_odds
from fmrifm.attribution.judges import judges
from fmrifm.attribution.ledger import Ledger
from fmrifm.attribution.methods import RegionScores
from fmrifm.attribution.regions import REGION_COLUMNS
from fmrifm.attribution.sanity import agreement_checks, verdicts
from fmrifm.attribution.stability import STABILITY_COLUMNS
from fmrifm.attribution.tables import CHECK_COLUMNS, Explained
from fmrifm.config import AttributeConfig
from fmrifm.data.store import Store
from fmrifm.evaluation.contestants import store_connectomes
from fmrifm.evaluation.labels import labelled_scans
from fmrifm.evaluation.metrics import Score, auc_statistic, bootstrap
from fmrifm.stages.folder import RunFolder, check_same_settings, names, run_folder
from fmrifm.stages.inputs import long_enough, same_grid
from fmrifm.training.checkpoint import Pretrained, load_pretrained
from fmrifm.training.classifiers import FittedFold, has_folds, load_folds

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
    if config.resume:
        check_same_settings(config, _MAY_DIFFER)
    with run_folder("attribute", config, store, resume=config.resume) as run:
        task = _Task(config, store, pretrained, Ledger(run.path / "computed"))
        explained = [Explained(cohort, scores, task.regions) for cohort, scores in task.scores(run)]
        _write(config, explained, task, run)
    return run.path


@dataclass(frozen=True, eq=False)
class _Task:
    """What there is to explain; read when a method asks for it."""

    config: AttributeConfig
    store: Store
    pretrained: Pretrained
    ledger: Ledger

    @cached_property
    def regions(self) -> pd.DataFrame:
        return pool_regions(self.pretrained)

    @cached_property
    def usable(self) -> pd.DataFrame:
        """Scans that hold a window."""
        return long_enough(self.store, self.pretrained.tokens.window_volumes)

    @cached_property
    def everyone(self) -> Cohort:
        """Whom fidelity explains; with the label where a classifier says which one is meant."""
        if not has_folds(Path(self.config.checkpoint)):
            return self._cohort(self.usable)
        return self._cohort(self.usable.assign(label=self.labelled["label"]))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Those that the classifiers were fitted with."""
        return dict(yaml.safe_load((Path(self.config.checkpoint) / "config.yaml").read_text()))

    @cached_property
    def folds(self) -> list[FittedFold]:
        return load_folds(Path(self.config.checkpoint))[1]

    @cached_property
    def labelled(self) -> pd.DataFrame:
        """What the classifiers learnt from and were tested on."""
        return labelled_scans(self.usable, self.folds[0].target)

    @cached_property
    def tested(self) -> Cohort:
        """Whom the methods of the classifier explain: subjects that one of them never saw."""
        judge: dict[str, int] = {}
        for number, fold in enumerate(self.folds):
            for subject in fold.test:
                judge.setdefault(subject, number)  # of several rounds the first
        scans = self.labelled[self.labelled["subject"].isin(judge)]
        return self._cohort(scans.assign(fold=scans["subject"].map(judge)))

    @cached_property
    def judges(self) -> Judges:
        number = self.tested.scans["fold"].to_numpy()
        return judges(self.folds, number, self.store, self.labelled, self.settings, self.config.seed)

    def scores(self, run: RunFolder) -> list[tuple[Cohort, RegionScores]]:
        """Run the methods asked for."""
        config, found = self.config, []
        if set(config.methods) - {"fidelity"}:
            self.folds  # noqa: B018 (refuses a run without a classifier before anything is computed)
        if "fidelity" in config.methods:
            scores, given = methods.fidelity(self.everyone, config.groups, config.deals, self.checked(self.everyone))
            found += [(self.everyone, one) for one in scores]
            np.savez(
                run.path / "contributions.npz",
                index=self.regions["index"].to_numpy(), contribution=given.matrix, se=given.se,
            )  # fmt: skip
        if "occlusion" in config.methods:
            found.append((self.tested, methods.occlusion(self.tested, self.judges, self.checked(self.tested))))
        if "gradients" in config.methods:
            arguments = (self.tested, self.judges, self.checked(self.tested), config.start)
            found += [(self.tested, one) for one in methods.gradients(*arguments)]
        if "rollout" in config.methods:
            found.append((self.tested, methods.rollout(self.tested, self.judges, self.checked(self.tested))))
        if "connectome" in config.methods:
            made = store_connectomes(self.pretrained, self.store, self.labelled)
            penalty = float(self.settings["penalty"][0])
            found.append((self.tested, methods.connectome(self.tested, self.judges, made, self.labelled, penalty)))
        return found

    def checked(self, cohort: Cohort) -> NDArray[np.intp]:
        """Positions of the scans on which the spoilt counterparts are asked too."""
        count = min(self.config.check_scans, len(cohort.scans))
        return np.sort(generator_of(self.config.seed, 5).choice(len(cohort.scans), count, replace=False))

    def _cohort(self, scans: pd.DataFrame) -> Cohort:
        config = self.config
        if config.scans is not None and config.scans < len(scans):
            scans = scans.sample(config.scans, random_state=config.seed).sort_values("scan")
        scans = scans.reset_index(drop=True)
        return Cohort(self.store, self.pretrained, scans, config.windows_per_scan, self.ledger, config.seed)


def _write(config: AttributeConfig, explained: Sequence[Explained], task: _Task, run: RunFolder) -> None:
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
    checks.append(agreement_checks({one.method: one.importance for one in explained}))
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


def _curves(config: AttributeConfig, ranked: Sequence[Explained], task: _Task) -> tuple[pd.DataFrame, pd.DataFrame]:
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


def _name_lost(pretrained: Pretrained) -> None:
    if lost := pretrained.atlas.lost:
        missing = ", ".join(names(pretrained.atlas, lost))
        Console(stderr=True).print(f"Without a voxel on this grid, so without a figure: {missing}")


def _to_tsv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, sep="\t", index=False)
