"""The classifier and everything that stands beside it, predicting the same subjects in the same folds."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import track

from fmrifm.atlas import grow_labels
from fmrifm.config import EvaluateConfig
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.baselines import Connectomes, connectome_features, connectomes, tabular_predictions
from fmrifm.evaluation.crossval import fit_folds
from fmrifm.evaluation.networks import from_scratch, untrained
from fmrifm.evaluation.probe import scan_summaries
from fmrifm.evaluation.readout import pooled_features, predict_folds
from fmrifm.evaluation.splits import Fold, FoldFeatures
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained


def network_features(
    pretrained: Pretrained, store: Store, scans: pd.DataFrame, config: EvaluateConfig
) -> FoldFeatures | None:
    """Features of a frozen encoder; none where encoder or pooling learn by gradient, so that each fold has its own."""
    if config.by_gradient:
        return None
    classifier = ScanClassifier(pretrained.model, config.pooling, config.connectivity)
    windows = Windows(store, scans["scan"].tolist(), pretrained.tokens.window_volumes)
    every = track(range(len(scans)), description="Features", console=Console(stderr=True))
    summaries = scan_summaries(classifier, windows, every)
    return pooled_features(classifier, summaries, scans["site"], config.harmonise)


def network_predictions(
    pretrained: Pretrained,
    features: FoldFeatures | None,
    store: Store,
    scans: pd.DataFrame,
    folds: list[Fold],
    config: EvaluateConfig,
    logs: Path,
) -> pd.DataFrame:
    """Held-out predictions from features, or of networks that are trained in each fold."""
    if features is not None:
        return predict_folds(features, scans, folds, config)
    tables = [table for _, table in fit_folds(pretrained, store, scans, folds, config, logs)]
    return pd.concat(tables, ignore_index=True)


def baseline_predictions(
    pretrained: Pretrained, store: Store, scans: pd.DataFrame, folds: list[Fold], config: EvaluateConfig, logs: Path
) -> tuple[dict[str, pd.DataFrame], Mapping[str, FoldFeatures]]:
    """Held-out predictions of the baselines that were asked for, and the features of those that have any."""
    say = Console(stderr=True, highlight=False).print
    asked: tuple[str, ...] = config.baselines
    tables = {name: table for name, table in tabular_predictions(scans, folds).items() if name in asked}
    features: dict[str, FoldFeatures] = {}
    if any(name.startswith("connectome") for name in asked):
        say("Baselines: connectomes ...")
        found = connectome_features(store_connectomes(pretrained, store, scans), scans["site"], config.harmonise)
        features |= {name: of_fold for name, of_fold in found.items() if name in asked}
    blank = untrained(pretrained, config.seed)
    if "untrained" in asked:
        say("Baselines: the encoder at its random initialisation ...")
        if (of_fold := network_features(blank, store, scans, config)) is not None:
            features["untrained"] = of_fold
        else:
            tables["untrained"] = network_predictions(blank, None, store, scans, folds, config, logs / "untrained")
    tables |= {name: predict_folds(of_fold, scans, folds, config) for name, of_fold in features.items()}
    if "scratch" in asked:
        say("Baselines: the network trained from scratch ...")
        tables["scratch"] = from_scratch(blank, store, scans, folds, config, logs / "scratch")
    return {name: tables[name] for name in asked if name in tables}, features


def store_connectomes(pretrained: Pretrained, store: Store, scans: pd.DataFrame) -> Connectomes:
    """Connectomes of scans over the regions that the tokens of a model tile."""
    labels = grow_labels(store.atlas.labels, store.grid.voxels, store.grid.spacing_mm, pretrained.tokens.grow_mm)
    return connectomes(store, scans["scan"], labels)
