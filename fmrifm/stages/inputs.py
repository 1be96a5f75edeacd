"""What the stages after `prepare` read: usable scans, on the grid that the checkpoint knows."""

import numpy as np
import pandas as pd
from rich.console import Console

from fmrifm.config import FinetuneConfig
from fmrifm.data.store import Store
from fmrifm.errors import DataError
from fmrifm.evaluation.labels import labelled_scans
from fmrifm.evaluation.splits import Fold, make_folds, without_seen
from fmrifm.training.checkpoint import Pretrained
from fmrifm.training.transfer import carried_over


def long_enough(store: Store, volumes: int) -> pd.DataFrame:
    """Scans that hold a window; shorter ones are named on the console.

    Raises:
        DataError: None does.
    """
    scans = store.scans
    short = scans["segments"].map(max) < volumes  # scrubbing may leave none that holds a window
    if short.all():
        raise DataError(
            f"{store.path}: no scan has the {volumes} consecutive volumes of a window. Lower tokens.window_volumes."
        )
    if short.any():
        left_out = ", ".join(scans.loc[short, "scan"])
        Console(stderr=True).print(f"{short.sum()} scans are shorter than a window of {volumes} volumes: {left_out}")
    return scans[~short]


def labelled(store: Store, target: str, pretrained: Pretrained) -> pd.DataFrame:
    """Scans with a label and a window's length; the others are counted on the console."""
    scans = labelled_scans(long_enough(store, pretrained.tokens.window_volumes), target)
    if missing := len(store.scans) - len(scans):
        Console(stderr=True).print(f"{missing} of {len(store.scans)} scans have no usable label in {target!r}.")
    return scans.reset_index(drop=True)


def tested_folds(config: FinetuneConfig, scans: pd.DataFrame, store: Store, pretrained: Pretrained) -> list[Fold]:
    """Folds of labelled scans; who was pretrained on is not tested where that is asked, and counted on the console."""
    folds = make_folds(scans, config)
    if config.seen == "keep":
        return folds
    left = without_seen(folds, pretrained.subjects, store.scans)
    tested, before = ({subject for fold in some for subject in fold.test} for some in (left, folds))
    Console(stderr=True).print(f"{len(before - tested)} of {len(before)} subjects were pretrained on: not tested.")
    return left


def on_grid_of(store: Store, pretrained: Pretrained) -> Pretrained:
    """Carry a model over to a store's voxels and regions where they are not its own, and say so."""
    try:
        same_grid(pretrained, store)
    except DataError:
        spacing = " x ".join(f"{edge:g}" for edge in store.grid.spacing_mm)
        Console(stderr=True).print(
            f"The model was pretrained on other voxels or regions than those of {store.path}: its tokens are cut "
            f"anew, for {spacing} mm and {store.atlas.origin}."
        )
        return carried_over(pretrained, store.grid, store.atlas)
    return pretrained


def same_grid(pretrained: Pretrained, store: Store) -> None:
    """Refuse a store whose voxels or regions are not those of the checkpoint.

    Raises:
        DataError: Grid, brain mask or labels differ.
    """
    ours, theirs = pretrained.grid, store.grid
    same = ours.shape == theirs.shape and np.allclose(ours.affine, theirs.affine)
    if not (same and np.array_equal(ours.mask, theirs.mask)):
        raise DataError(
            f"{store.path}: its grid is {theirs.shape} at {theirs.spacing_mm} mm, the checkpoint's {ours.shape} at "
            f"{ours.spacing_mm} mm. Prepare the scans with the same spacing_mm, or fine-tune on them first."
        )
    if not np.array_equal(pretrained.atlas.labels, store.atlas.labels):
        raise DataError(
            f"{store.path}: its regions ({store.atlas.origin}) are not those that the checkpoint was pretrained with "
            f"({pretrained.atlas.origin}). Prepare the scans with the same atlas, or fine-tune on them first."
        )
