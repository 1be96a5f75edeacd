"""`fmrifm predict`: what each region does next, how well that is known, and what came as a surprise.

Leaves skill.tsv, regions.tsv and systems.tsv (method `surprise`), importance.nii.gz (its map), rollout.nii.gz (volumes
made up after a held-out scan), checks.tsv and metrics.json.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from rich.console import Console

from fmrifm.attribution.cohort import generator_of
from fmrifm.attribution.regions import region_table, system_table
from fmrifm.attribution.sanity import CHECK_COLUMNS, size_checks
from fmrifm.attribution.subjects import subjects_of
from fmrifm.cerebellum.forecast import rollout
from fmrifm.cerebellum.normalise import filter_warning
from fmrifm.cerebellum.predictors import Predictor
from fmrifm.cerebellum.surprise import surprise, without_motion
from fmrifm.config import PredictConfig
from fmrifm.data.store import Store
from fmrifm.errors import DataError
from fmrifm.evaluation.foresight import region_forecasts
from fmrifm.evaluation.metrics import Score
from fmrifm.evaluation.prediction import build, forecast_table, references, skill_table, teach
from fmrifm.evaluation.series import Stretches, stretches
from fmrifm.stages.attribute import importance_image
from fmrifm.stages.explanation import pool_regions
from fmrifm.stages.folder import RunFolder, run_folder
from fmrifm.stages.inputs import on_grid_of
from fmrifm.training.checkpoint import Pretrained, load_pretrained
from fmrifm.training.datamodule import split_subjects


def predict(config: PredictConfig) -> Path:
    """Teach the circuits, measure them on held-out subjects, and return the run folder.

    A checkpoint that learnt to predict is measured too, by its own head, as `pretrained`.

    Raises:
        DataError: Scans are too short, or there are too few subjects.
        CheckpointError: No pretrained model there.
    """
    store = Store(config.store)
    pretrained = on_grid_of(store, load_pretrained(config.checkpoint))
    console = Console(stderr=True, highlight=False, markup=False)
    with run_folder("predict", config, store) as run:
        scans = store.scans.reset_index(drop=True)
        learnt, held = split_subjects(scans, config.validation, config.seed)
        if not learnt:
            raise DataError(f"{config.store}: one subject only. Prediction needs two, one of them to measure on.")
        found = stretches(store, scans, pretrained.model.tokenizer.region_of_voxel.numpy(), config.context)
        subject = scans["subject"].to_numpy()[found.scan]
        is_held = np.isin(subject, held)
        train, test = found.x[~is_held], found.x[is_held]
        warnings = _warn(console, found, pretrained, train, scans)
        rivals = references(train, config.context, config.lags)
        circuits: dict[str, Predictor] = {}
        for name in config.circuits:
            console.print(f"Teaching {name} ...")
            made = build(name, train.shape[2], config.lags, config.granule, config.seed)
            circuits[name] = teach(made, train, config.context, config.epochs, config.seed)
        rng = generator_of(config.seed, 8)
        measured = (rivals, test, subject[is_held], config.context, config.bootstrap, rng)
        table = skill_table(circuits, *measured)
        if pretrained.model.next is not None:
            warnings += _known(console, pretrained, held)
            places = np.flatnonzero(is_held).tolist()
            forecasts = region_forecasts(pretrained.model, store, scans, found, places, config.context)
            table = pd.concat([table, forecast_table(forecasts, *measured)], ignore_index=True)
        table.to_csv(run.path / "skill.tsv", sep="\t", index=False)
        run.write_metrics(_scores(table, config), baselines=_baselines(table, rivals), leakage=warnings)
        first = circuits[config.circuits[0]]
        _write_surprise(first, found, is_held, scans, pretrained, config, run)
        _write_rollout(first, found, is_held, store, scans, pretrained, config, run)
    return run.path


def _warn(
    console: Console, found: Stretches, pretrained: Pretrained, train: torch.Tensor, scans: pd.DataFrame
) -> list[str]:
    """Say what keeps the figures from meaning what they seem to."""
    said = [sentence] if (sentence := filter_warning(train)) else []
    if len(times := sorted(scans["tr_s"].unique())) > 1:
        shown = ", ".join(f"{tr_s:g}" for tr_s in times)
        said.append(f"Scans have repetition times of {shown} s, so that a volume ahead is not the same time for all.")
    left = pool_regions(pretrained)["name"][~found.kept]
    if len(left):
        console.print(f"Not predicted, since not every scan covers half of them ({len(left)}): {', '.join(left)}")
    for sentence in said:
        console.print(f"Warning: {sentence}")
    return said


def _known(console: Console, pretrained: Pretrained, held: list[str]) -> list[str]:
    """Say how many of the held-out subjects the pretrained model has seen."""
    if not (seen := set(held) & set(pretrained.subjects)):
        return []
    sentence = (
        f"The checkpoint has seen {len(seen)} of the {len(held)} held-out subjects, in its training or in the choice "
        "of its weights: what its own head predicts of them is no held-out skill. Predict another cohort to learn that."
    )
    console.print(f"Warning: {sentence}")
    return [sentence]


def _scores(table: pd.DataFrame, config: PredictConfig) -> dict[str, Score]:
    """Skill of the circuits, and of the pretrained model, by `CIRCUIT_over_REFERENCE_hHORIZON`."""
    return _named(table[table["circuit"].isin([*config.circuits, "pretrained"])])


def _baselines(table: pd.DataFrame, rivals: dict[str, Predictor]) -> dict[str, dict[str, Score]]:
    return {rival: _named(table[table["circuit"] == rival]) for rival in rivals}


def _named(table: pd.DataFrame) -> dict[str, Score]:
    return {
        f"{row['circuit']}_over_{row['reference']}_h{row['horizon']}": Score(
            row["skill"], row["ci_low"], row["ci_high"], int(row["n"])
        )
        for row in table.to_dict("records")
    }


def _write_surprise(
    predictor: Predictor, found: Stretches, is_held: np.ndarray, scans: pd.DataFrame, pretrained: Pretrained,
    config: PredictConfig, run: RunFolder,
) -> None:  # fmt: skip
    """Surprise of each region in held-out subjects, without motion, as a method of attribution."""
    regions, context = pool_regions(pretrained), config.context
    values = surprise(predictor, found.x[is_held])[:, context - 1 :].numpy()
    change = found.change[is_held][:, context:]
    of_scan = np.full((len(scans), len(regions)), np.nan)
    for number in np.unique(scan_of := found.scan[is_held]):
        here = scan_of == number
        of_scan[number, found.kept] = without_motion(np.concatenate(values[here]), np.concatenate(change[here]))
    asked = ~np.isnan(of_scan).all(axis=1)
    subjects = subjects_of(scans[asked].reset_index(drop=True))
    arguments = (subjects.average(of_scan[asked]), subjects.average(found.coverage[asked]), "surprise", None)
    rng = generator_of(config.seed, 4)
    table = region_table(regions, *arguments, config.bootstrap, rng)
    table.to_csv(run.path / "regions.tsv", sep="\t", index=False)
    system_table(regions, *arguments, config.bootstrap, rng).to_csv(run.path / "systems.tsv", sep="\t", index=False)
    checks = size_checks("surprise", table["importance"].to_numpy(float), None, regions["n_voxels"].to_numpy())
    checks.reindex(columns=CHECK_COLUMNS).to_csv(run.path / "checks.tsv", sep="\t", index=False)
    importance_image(pretrained, table).to_filename(run.path / "importance.nii.gz")


def _write_rollout(
    predictor: Predictor, found: Stretches, is_held: np.ndarray, store: Store, scans: pd.DataFrame,
    pretrained: Pretrained, config: PredictConfig, run: RunFolder,
) -> None:  # fmt: skip
    """Go on after the first held-out stretch, and paint each region's course over its voxels as BOLD of that scan."""
    place = int(np.flatnonzero(is_held)[0])
    row = scans.iloc[found.scan[place]]
    generator = torch.Generator().manual_seed(config.seed)
    made = rollout(predictor, found.x[place][None], config.rollout_volumes, noise=True, generator=generator)[0].numpy()
    region = pretrained.model.tokenizer.region_of_voxel.numpy()
    course = np.zeros((config.rollout_volumes, int(region.max()) + 1), np.float32)
    course[:, np.flatnonzero(found.kept)] = made
    bold = store.mean(row["scan"]) + store.deviation(row["scan"]) * course[:, region]
    image = pretrained.grid.image(bold.T.astype(np.float32))
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((*pretrained.grid.spacing_mm, float(row["tr_s"])))
    nib.save(image, run.path / "rollout.nii.gz")
