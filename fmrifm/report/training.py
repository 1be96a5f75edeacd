"""Pretraining's section: training curves, reconstruction scores, a time course and one volume to look at."""

from collections.abc import Mapping

import pandas as pd

from fmrifm.report.brain import reconstruction
from fmrifm.report.content import Picture, Section, Table
from fmrifm.report.figures import curves
from fmrifm.report.runs import Run
from fmrifm.report.scores import label, ordered
from fmrifm.report.time_course import time_course

TRIVIAL = "trivial (0)"


def training_section(run: Run, title: str) -> Section:
    """Show how one pretraining went."""
    scores = run.scores
    rows = [
        [name, label(metric), str(found[metric]), str(found[metric].n)]
        for name, found in {"model": scores, **run.baselines}.items()
        for metric in ordered(found)
    ]
    caption = (
        "Reconstruction of held-out subjects with 95 % intervals. The trivial predictor, each voxel's mean, has 0."
    )
    if run.baselines:
        caption += " The population prior, the covariance of the training scans, is what the network starts from."
    return Section(
        title=title,
        pictures=[*_curves(run), *_gallery(run)],
        tables=[Table(caption=caption, columns=["predictor", "score", "value", "n"], rows=rows)] if rows else [],
    )


def _gallery(run: Run) -> list[Picture]:
    drawings = {"time_course.npz": time_course, "reconstruction.npz": reconstruction}
    return [draw(run.path / name) for name, draw in drawings.items() if (run.path / name).exists()]


def _curves(run: Run) -> list[Picture]:
    log = run.table("logs/metrics.csv", ["step"], separator=",")
    if log is None:
        return []
    losses = _series(log, {"train/loss": "training", "val/loss": "validation"})
    skills = _series(log, {"val/r2_voxel": "voxels", "val/r2_region": "region means"})
    ahead = _series(log, {"val/skill_next": "next volume"})
    pictures = []
    if losses:
        caption = "Loss over hidden voxels. By mean squared error alone, predicting 0 everywhere would give about 1."
        pictures.append(curves(losses, "loss (mean squared error, z²)", caption))
    if skills:
        caption = (
            "Validation R² of what was hidden, on held-out subjects. Dotted: the trivial predictor, each voxel's mean."
        )
        pictures.append(curves(skills, "validation R²", caption, zero=TRIVIAL))
    if ahead:
        caption = "Validation skill of the next volume on held-out subjects, over persistence: the last volume seen."
        pictures.append(curves(ahead, "validation skill", caption, zero="persistence"))
    return pictures


def _series(log: pd.DataFrame, names: Mapping[str, str]) -> dict[str, pd.Series]:
    """Columns of Lightning's sparse log, each over the steps at which it was written."""
    columns = {shown: log.set_index("step")[column].dropna() for column, shown in names.items() if column in log}
    return {shown: values for shown, values in columns.items() if len(values)}
