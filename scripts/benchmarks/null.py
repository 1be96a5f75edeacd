"""What evaluation says where there is nothing to find: labels drawn at random within each site.

    python scripts/benchmarks/null.py --store cohort.zarr [--seeds 20] [--permutations 200] [--checkpoint RUN] [--json]

For each seed half of each site's subjects are called cases at random; connectomes, with --checkpoint the encoder's
features too, are cross-validated on them. Wanted: a mean AUC within .03 of .5 and uniform permutation p-values
(Kolmogorov-Smirnov p above .05). p comes in steps of 1 / (permutations + 1) and is spread evenly over its step.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import kstest

sys.path.insert(0, str(Path(__file__).parent))
from table import Figures, parser, show

from fmrifm.config import EvaluateConfig
from fmrifm.data.store import Store
from fmrifm.evaluation.baselines import connectomes
from fmrifm.evaluation.contestants import network_features
from fmrifm.evaluation.permutation import permutation_p
from fmrifm.evaluation.readout import fixed_features
from fmrifm.evaluation.splits import FoldFeatures, make_folds
from fmrifm.training.checkpoint import load_pretrained


def main() -> None:
    """Draw labels, cross-validate, permute and print."""
    options = parser(__doc__ or "")
    options.add_argument("--store", required=True)
    options.add_argument("--checkpoint", help="run folder of fmrifm pretrain")
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--permutations", type=int, default=200)
    asked = options.parse_args()
    store = Store(asked.store)
    scans = store.scans
    features: dict[str, FoldFeatures] = {
        "connectome": fixed_features(connectomes(store, scans["scan"], store.atlas.labels).correlation, scans["site"])
    }
    if asked.checkpoint:
        config = EvaluateConfig(store="", checkpoint="", out="")
        found = network_features(load_pretrained(asked.checkpoint), store, scans, config)
        features |= {"encoder": found} if found else {}
    figures: Figures = {}
    for name, of_fold in features.items():
        tested = np.array([null(of_fold, scans, seed, asked.permutations) for seed in range(asked.seeds)])
        auc, p = tested.T
        spread = p - np.random.default_rng(0).uniform(0, 1 / (asked.permutations + 1), len(p))
        error = auc.std(ddof=1) / np.sqrt(len(auc))
        figures |= {
            f"{name}: mean AUC over {asked.seeds} seeds": auc.mean(),
            f"{name}: standard error of that": error,
            f"{name}: Kolmogorov-Smirnov p of the permutation p-values": kstest(spread, "uniform").pvalue,
            f"{name}: share of permutation p-values up to .05": (p <= 0.05).mean(),
        }
    show(figures, {}, asked.json)


def null(features: FoldFeatures, scans: pd.DataFrame, seed: int, permutations: int) -> tuple[float, float]:
    """AUC and permutation p of one drawing of labels."""
    rng = np.random.default_rng([7, seed])
    subjects = scans.drop_duplicates("subject")
    drawn = [rng.permutation(np.arange(len(part)) % 2) for _, part in subjects.groupby("site")]
    names = np.concatenate([part["subject"].to_numpy() for _, part in subjects.groupby("site")])
    label = pd.Series(np.concatenate(drawn), index=names)
    labelled = scans.assign(label=scans["subject"].map(label))
    folds = make_folds(labelled, EvaluateConfig(store="", checkpoint="", out="", seed=seed))
    return permutation_p(features, labelled, folds, 1.0, permutations, np.random.default_rng([8, seed]))


if __name__ == "__main__":
    main()
