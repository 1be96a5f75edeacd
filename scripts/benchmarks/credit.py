"""Does it matter to a diagnosis how a recurrent head over windows is given credit, and what does each way keep?

    python scripts/benchmarks/credit.py --store cohort.zarr --checkpoint runs/mask [--seeds 3] [--horizon 3]

For each seed, which draws weights and folds, a head with recurrent pooling is trained on the frozen encoder by each way
of giving credit and judged on held-out subjects; wanted is an AUC within .02 of gradient caching. The connectivity head
on the same encoder and the connectome stand beside them. Intervals are over subjects, of means over seeds. Then one
step of the full encoder, on two scans, says what autograd keeps and how long the step takes.
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parent))
from table import Figures, interval, mean, minus, parser, show

from fmrifm.config import Credit, EvaluateConfig, OptimConfig
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.contestants import network_features, network_predictions, store_connectomes
from fmrifm.evaluation.labels import labelled_scans
from fmrifm.evaluation.metrics import Statistic, by_subject, metric_statistics
from fmrifm.evaluation.readout import fixed_features, predict_folds
from fmrifm.evaluation.splits import make_folds
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained, load_pretrained
from fmrifm.training.finetune import choose_trained
from fmrifm.training.recurrent import RecurrentModule, WholeScans, padded

CREDITS: tuple[Credit, ...] = get_args(Credit)
RIVAL = "gradcache"


def main() -> None:
    """Train, judge, weigh and print."""
    options = parser(__doc__ or "")
    options.add_argument("--store", required=True)
    options.add_argument("--checkpoint", required=True)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--horizon", type=int, default=3)
    asked = options.parse_args()
    store, model = Store(asked.store), load_pretrained(asked.checkpoint)
    scans = labelled_scans(store.scans, "dx").reset_index(drop=True)
    aucs: dict[str, list[Statistic]] = {name: [] for name in (*CREDITS, "connectivity head", "connectome")}
    quiet = {"accelerator": "cpu", "enable_progress_bar": False}
    base = EvaluateConfig(store="", checkpoint="", out="", horizon=asked.horizon, trainer=quiet, pooling="recurrent")
    edges = store_connectomes(model, store, scans).correlation
    frozen = network_features(model, store, scans, replace(base, pooling="connectivity"))
    assert frozen is not None
    for seed in range(asked.seeds):
        config = replace(base, seed=seed)
        folds = make_folds(scans, config)
        for credit in CREDITS:
            torch.manual_seed(seed)
            with tempfile.TemporaryDirectory() as logs:
                how = replace(config, credit=credit)
                aucs[credit].append(auc(network_predictions(model, None, store, scans, folds, how, Path(logs))))
        aucs["connectivity head"].append(auc(predict_folds(frozen, scans, folds, config)))
        aucs["connectome"].append(auc(predict_folds(fixed_features(edges, scans["site"]), scans, folds, config)))
    figures: Figures = {}
    rng, n = np.random.default_rng(0), scans["subject"].nunique()
    for name, statistics in aucs.items():
        figures |= interval(f"AUC of {name}", mean(statistics), n, rng)
    for name in (credit for credit in CREDITS if credit != RIVAL):
        less = [minus(ours, theirs) for ours, theirs in zip(aucs[name], aucs[RIVAL], strict=True)]
        figures |= interval(f"AUC of {name} over {RIVAL}", mean(less), n, rng)
    steps, ratios = step_costs(model, Windows(store, scans["scan"].tolist()[:2], model.tokens.window_volumes))
    show(figures | steps, ratios, asked.json)


def auc(predictions: pd.DataFrame) -> Statistic:
    """AUC as a function of the subjects' weights."""
    return metric_statistics(by_subject(predictions))["auc"]


def step_costs(model: Pretrained, windows: Windows) -> tuple[Figures, Figures]:
    """MiB that autograd keeps, and seconds, of one step of the full encoder on two scans, a window a stretch."""
    figures: Figures = {}
    batch = padded([*WholeScans(windows, np.array([0, 1]))])
    for credit in CREDITS:
        classifier = ScanClassifier(model.model, "recurrent")
        choose_trained(classifier, "full", 1, torch.Generator())
        module = RecurrentModule(
            classifier.train(), OptimConfig(), np.array([1, 1]), credit=credit, horizon=1, summarised=False
        )
        start = time.perf_counter()
        report = module.give_credit(batch)
        figures[f"{credit}: seconds of a step"] = time.perf_counter() - start
        figures[f"{credit}: MiB kept by autograd"] = report.peak_saved_bytes / 2**20
    ratios = {
        f"MiB kept, {credit} over full": figures[f"{credit}: MiB kept by autograd"]
        / figures["full: MiB kept by autograd"]
        for credit in CREDITS
    }
    return figures, ratios


if __name__ == "__main__":
    main()
