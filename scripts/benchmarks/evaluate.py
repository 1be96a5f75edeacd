"""How long `fmrifm evaluate` takes beside the network's own time.

    python scripts/benchmarks/evaluate.py [--scans 200] [--volumes 150] [--json]

Scans of noise with the real number of voxels and regions at 4 mm; every baseline that needs no network, five folds, and
all scores, differences and 200 permutations on features that are there already. Wanted: at most 5 minutes on 2 cores.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from table import Figures, parser, show

from fmrifm.atlas import load_atlas
from fmrifm.config import AtlasConfig, EvaluateConfig
from fmrifm.data.grid import mni_grid
from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter
from fmrifm.evaluation.baselines import connectome_features, connectomes, tabular_predictions
from fmrifm.evaluation.calibration import calibration_table
from fmrifm.evaluation.labels import labelled_scans
from fmrifm.evaluation.metrics import by_subject, classification_scores
from fmrifm.evaluation.paired import paired_differences
from fmrifm.evaluation.permutation import permutation_p
from fmrifm.evaluation.readout import predict_folds
from fmrifm.evaluation.sites import site_score
from fmrifm.evaluation.splits import make_folds

TR_S, SITES, FOLDS = 2.0, 8, 5

Result = TypeVar("Result")


def main() -> None:
    """Make scans, evaluate them and print."""
    options = parser(__doc__ or "")
    options.add_argument("--scans", type=int, default=200)
    options.add_argument("--volumes", type=int, default=150)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = noise(Path(folder) / "noise.zarr", asked.scans, asked.volumes)
        figures = evaluation(store)
    figures["all (s)"] = sum(figures.values())
    show(figures, {"all / 5 minutes": figures["all (s)"] / 300}, asked.json)


def noise(path: Path, scans: int, volumes: int) -> Store:
    """A store of scans whose regions move at random, with labels, sites and phenotype as random."""
    rng, grid = np.random.default_rng(0), mni_grid()
    atlas = load_atlas(AtlasConfig(approximation=True), grid.image(np.ones(len(grid.voxels), np.uint8)))
    with StoreWriter(path, grid=grid, atlas=atlas, settings={}) as writer:
        for number in range(scans):
            of_region = rng.standard_normal((volumes, int(atlas.labels.max()) + 1), np.float32)
            signal = of_region[:, atlas.labels] + rng.standard_normal((volumes, len(atlas.labels)), np.float32)
            signal = (signal - signal.mean(axis=0)) / signal.std(axis=0)
            row = {
                "scan": f"{number:04d}", "subject": f"{number:04d}", "site": f"site {number % SITES}", "tr_s": TR_S,
                "dx": int(rng.integers(2)), "age": rng.normal(12, 2), "sex": "FM"[rng.integers(2)],
                "mean_fd": rng.gamma(2, 0.1),
            }  # fmt: skip
            writer.add(row, signal, np.full(signal.shape[1], 100.0), np.ones(signal.shape[1]))
    return Store(path)


def evaluation(store: Store) -> Figures:
    """Seconds of each part."""
    config = EvaluateConfig(store="", checkpoint="", out="", folds=FOLDS)
    scans = labelled_scans(store.scans, "dx").reset_index(drop=True)
    folds = make_folds(scans, config)
    figures: Figures = {}

    def timed(name: str, call: Callable[[], Result]) -> Result:
        started = time.perf_counter()
        found = call()
        figures[f"{name} (s)"] = time.perf_counter() - started
        return found

    measured = timed("reading and correlations", lambda: connectomes(store, scans["scan"], store.atlas.labels))
    tables = timed("baselines without a brain", lambda: tabular_predictions(scans, folds))
    features = connectome_features(measured, scans["site"], "none")
    for name, of_fold in features.items():
        tables[name] = timed(name, partial(predict_folds, of_fold, scans, folds, config))
    edges = features["connectome"]  # as many as an encoder's
    subjects = {name: by_subject(table) for name, table in tables.items()}
    rng = np.random.default_rng(0)
    timed("scores", lambda: [classification_scores(table, config.bootstrap, rng) for table in subjects.values()])
    ours = subjects["connectome"]
    timed("differences", lambda: [paired_differences(ours, t, folds, config.bootstrap, rng) for t in subjects.values()])
    timed("calibration", lambda: [calibration_table(table, 10) for table in subjects.values()])
    timed("sites", lambda: [site_score(part, scans, folds, config.bootstrap, rng) for part in features.values()])
    timed("permutations", lambda: permutation_p(edges, scans, folds, 1.0, config.permutations, rng))
    return figures


if __name__ == "__main__":
    main()
