"""Every head on frozen encoders beside every connectome and beside baselines without a brain, on the same folds.

    python scripts/benchmarks/heads.py --store abide.zarr --checkpoint region=runs/region [--sites UM_1 UCLA_1]
        [--splits kfold --repeats 5] [--cache FOLDER] [--trained 3]

For each checkpoint, and for the same network at its random initialisation, the scans are encoded once; heads are those
of `fmrifm evaluate`. Differences are to the connectome (correlation) on the same volumes, with the interval of the
paired bootstrap over subjects and the p of the corrected t-test over folds. `--trained EPOCHS` adds attention pooling,
the full encoder and the network from scratch, which learn by gradient in each fold of the first round.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parent))
from table import Figures, parser, show

from fmrifm.config import EvaluateConfig, PoolingKind
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.contestants import baseline_predictions, network_predictions
from fmrifm.evaluation.labels import labelled_scans
from fmrifm.evaluation.metrics import by_subject, classification_scores
from fmrifm.evaluation.networks import from_scratch, untrained
from fmrifm.evaluation.paired import paired_differences
from fmrifm.evaluation.permutation import permutation_p
from fmrifm.evaluation.probe import scan_windows
from fmrifm.evaluation.readout import pooled_features, predict_folds
from fmrifm.evaluation.splits import Fold, FoldFeatures, make_folds
from fmrifm.model.connectivity import CONNECTIVITY
from fmrifm.model.heads import ScanClassifier, build_pooling
from fmrifm.training.checkpoint import Pretrained, load_pretrained

RIVAL = "connectome"
PERMUTATIONS = 200


def main() -> None:
    """Encode, predict, score and print."""
    options = parser(__doc__ or "")
    options.add_argument("--store", required=True)
    options.add_argument("--checkpoint", nargs="+", required=True, help="NAME=RUN")
    options.add_argument("--sites", nargs="+", help="those whose subjects take part; all by default")
    options.add_argument("--splits", default="kfold")
    options.add_argument("--repeats", type=int, default=1)
    options.add_argument("--cache", type=Path, help="folder that keeps what the encoders said of all scans")
    options.add_argument("--trained", type=int, default=0, help="epochs of the heads that learn by gradient")
    asked = options.parse_args()
    store = Store(asked.store)
    config = EvaluateConfig(store=asked.store, checkpoint="", out="", splits=asked.splits, repeats=asked.repeats)
    models = {name: load_pretrained(path) for name, path in (entry.split("=", 1) for entry in asked.checkpoint)}
    first = next(iter(models.values()))
    models["untrained"] = untrained(first, config.seed)
    everyone = labelled_scans(store.scans, config.target).reset_index(drop=True)
    chosen = everyone["site"].isin(asked.sites or everyone["site"]).to_numpy()
    scans = everyone[chosen].reset_index(drop=True)
    folds = make_folds(scans, config)
    tables: dict[str, pd.DataFrame] = {}
    with tempfile.TemporaryDirectory() as folder:
        plain = EvaluateConfig(store="", checkpoint="", out="", baselines=(
            "majority", "site", "phenotype", "motion", "connectome", "connectome_partial", "connectome_tangent",
        ))  # fmt: skip
        tables, _ = baseline_predictions(first, store, scans, folds, plain, Path(folder))
        for name, model in models.items():
            summaries = encode(name, model, store, everyone["scan"].tolist(), asked.cache)
            features = heads(model, {kind: part[chosen] for kind, part in summaries.items()}, scans)
            for head, of_fold in features.items():
                tables[f"{name}: {head}"] = predict_folds(of_fold, scans, folds, config)
                if head == "correlation" and name != "untrained":
                    _, p = permutation_p(of_fold, scans, folds[:5], 1.0, PERMUTATIONS, np.random.default_rng(1))
                    print(f"{name}: {head}: p of {PERMUTATIONS} shuffles within site, first five folds: {p:.3f}")
        if asked.trained:
            tables |= trained_heads(models, store, scans, folds, asked, Path(folder))
    report(tables, folds, config, as_json=asked.json)


def encode(name: str, model: Pretrained, store: Store, scans: list[str], cache: Path | None) -> dict[str, torch.Tensor]:
    """Summaries of every scan by kind of pooling, from one pass through the encoder."""
    file = cache / f"{name}.pt" if cache else None
    if file and file.is_file():
        return torch.load(file, weights_only=True)
    classifier = ScanClassifier(model.model, "mean")
    kinds: tuple[PoolingKind, ...] = ("connectivity", "mean")
    tokenizer, width = model.model.tokenizer, model.model.encoder.embed.out_features
    poolings = {kind: build_pooling(kind, "correlation", tokenizer, width) for kind in kinds}
    windows = Windows(store, scans, model.tokens.window_volumes)
    found: dict[str, list[torch.Tensor]] = {kind: [] for kind in kinds}
    for scan in track(range(len(scans)), description=name, console=Console(stderr=True)):
        signal, tr_s = scan_windows(windows, scan)
        with torch.no_grad():
            tokens = classifier.tokens(classifier.coefficients(signal), tr_s)
            for kind, pooling in poolings.items():
                found[kind].append(pooling.summarise(tokens))
    summaries = {kind: torch.cat(rows) for kind, rows in found.items()}
    if file:
        file.parent.mkdir(exist_ok=True)
        torch.save(summaries, file)
    return summaries


def heads(model: Pretrained, summaries: Mapping[str, torch.Tensor], scans: pd.DataFrame) -> dict[str, FoldFeatures]:
    """Features of every head that needs no training but a linear layer."""
    found = {"mean": pooled_features(ScanClassifier(model.model, "mean"), summaries["mean"], scans["site"])}
    for form in CONNECTIVITY:
        classifier = ScanClassifier(model.model, "connectivity", form)
        found[form] = pooled_features(classifier, summaries["connectivity"], scans["site"])
    return found


def trained_heads(
    models: Mapping[str, Pretrained], store: Store, scans: pd.DataFrame, folds: list[Fold], asked: object, logs: Path
) -> dict[str, pd.DataFrame]:
    """Held-out predictions, in the first round, of what learns by gradient."""
    quiet = {"accelerator": "cpu", "enable_progress_bar": False}
    base = {"store": "", "checkpoint": "", "out": "", "epochs": asked.trained, "trainer": quiet}
    once = [fold for fold in folds if fold.repeat == 0]
    name, model = next(iter(models.items()))
    settings = {
        f"{name}: attention": EvaluateConfig(**base, pooling="attention"),
        f"{name}: full": EvaluateConfig(**base, encoder="full"),
    }
    found = {
        head: network_predictions(model, None, store, scans, once, config, logs) for head, config in settings.items()
    }
    found["from scratch"] = from_scratch(models["untrained"], store, scans, once, EvaluateConfig(**base), logs)
    return found


def report(tables: Mapping[str, pd.DataFrame], folds: list[Fold], config: EvaluateConfig, *, as_json: bool) -> None:
    """Print scores, and differences to the rival on the folds that a model predicted."""
    figures: Figures = {}
    for name, table in tables.items():
        ours = by_subject(table)
        scores = classification_scores(ours, config.bootstrap, np.random.default_rng(0))
        rival = by_subject(tables[RIVAL])
        rival = rival[rival["fold"].isin(ours["fold"])]
        gap = paired_differences(ours, rival, folds, config.bootstrap, np.random.default_rng(0))["auc"]
        auc, accuracy = scores["auc"], scores["balanced_accuracy"]
        figures |= {f"{name}: AUC": auc.value, f"{name}: AUC minus {RIVAL}": gap.value}
        if not as_json:
            print(
                f"| {name} | {auc.value:.3f} ({auc.ci_low:.3f} to {auc.ci_high:.3f}) | {accuracy.value:.3f} "
                f"({accuracy.ci_low:.3f} to {accuracy.ci_high:.3f}) | {gap.value:+.3f} ({gap.ci_low:+.3f} to "
                f"{gap.ci_high:+.3f}), t {gap.t_low:+.3f} to {gap.t_high:+.3f}, p {gap.p:.2f} | {auc.n} |",
                flush=True,
            )
    if as_json:
        show(figures, {}, as_json=True)


if __name__ == "__main__":
    main()
