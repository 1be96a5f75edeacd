"""Does it cost the classifier anything if the encoder also learns to predict the next volumes?

    python scripts/benchmarks/objective.py --store cohort.zarr --out FOLDER [--seeds 2] [--objectives mask mask+next]
        [--splits site] [--epochs 10]

For each seed and objective a model of the demo's size (windows of 36 volumes in time patches of 12, equal updates) is
pretrained on the scans of a labelled store and read out, frozen, by five folds or with one site left out, as
`fmrifm evaluate` does. Every encoder has seen the tested scans, never their labels. Wanted: the AUC of `mask+next` at
least that of `mask` - .02. The connectome stands beside them. Intervals are over subjects, of means over seeds, which
draw weights, masks and folds.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from table import Figures, interval, mean, minus, parser, show

from fmrifm.config import EvaluateConfig
from fmrifm.data.store import Store
from fmrifm.evaluation.contestants import network_features, store_connectomes
from fmrifm.evaluation.labels import labelled_scans
from fmrifm.evaluation.metrics import Statistic, by_subject, metric_statistics
from fmrifm.evaluation.readout import fixed_features, predict_folds
from fmrifm.evaluation.splits import FoldFeatures, make_folds
from fmrifm.recipes import fill
from fmrifm.stages.pretrain import pretrain
from fmrifm.training.checkpoint import load_pretrained

OBJECTIVES = ("mask", "next", "mask+next")


def main() -> None:
    """Pretrain, read out and print."""
    options = parser(__doc__ or "")
    options.add_argument("--store", required=True)
    options.add_argument("--out", required=True, type=Path, help="folder for the runs; those that are there are used")
    options.add_argument("--seeds", type=int, default=2)
    options.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=list(OBJECTIVES))
    options.add_argument("--splits", choices=["kfold", "site"], default="kfold")
    options.add_argument("--epochs", type=int, default=10, help="passes of a pretraining")
    asked = options.parse_args()
    store = Store(asked.store)
    scans = labelled_scans(store.scans, "dx").reset_index(drop=True)
    aucs: dict[str, list[Statistic]] = {name: [] for name in (*asked.objectives, "connectome")}
    figures: Figures = {}
    for seed in range(asked.seeds):
        for objective in asked.objectives:
            run, seconds = pretrained(asked.store, asked.out / f"{objective}_{seed}", objective, seed, asked.epochs)
            figures |= {f"{objective}, seed {seed}: minutes": seconds / 60} if seconds else {}
            model = load_pretrained(run)
            features = network_features(model, store, scans, EvaluateConfig(store="", checkpoint="", out=""))
            aucs[objective].append(auc(features, scans, seed, asked.splits))
        edges = store_connectomes(model, store, scans).correlation
        aucs["connectome"].append(auc(fixed_features(edges, scans["site"]), scans, seed, asked.splits))
    rng, n = np.random.default_rng(0), scans["subject"].nunique()
    for name, statistics in aucs.items():
        figures |= interval(f"AUC of {name}", mean(statistics), n, rng)
    for name in asked.objectives[1:]:
        less = [minus(ours, theirs) for ours, theirs in zip(aucs[name], aucs[asked.objectives[0]], strict=True)]
        figures |= interval(f"AUC of {name} over {asked.objectives[0]}", mean(less), n, rng)
    show(figures, {}, asked.json)


def pretrained(store: str, out: Path, objective: str, seed: int, epochs: int) -> tuple[Path, float]:
    """Run folder of a pretraining, and the seconds it took; 0 where it was there."""
    if (out / "metrics.json").is_file():
        return out, 0.0
    start = time.perf_counter()
    options = {
        "store": store, "out": str(out), "objective": objective, "seed": seed, "tokens.window_volumes": 36,
        "tokens.patch_volumes": 12, "trainer.max_epochs": epochs, "trainer.enable_progress_bar": False,
    }  # fmt: skip
    return pretrain(fill("pretrain", "demo", options)), time.perf_counter() - start


def auc(features: FoldFeatures | None, scans: pd.DataFrame, seed: int, splits: str) -> Statistic:
    """AUC of held-out predictions, as a function of the subjects' weights."""
    assert features is not None
    config = EvaluateConfig(store="", checkpoint="", out="", seed=seed, splits=splits)
    return metric_statistics(by_subject(predict_folds(features, scans, make_folds(scans, config), config)))["auc"]


if __name__ == "__main__":
    main()
