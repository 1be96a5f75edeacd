"""How well attribution finds what was planted, and what it costs.

    python scripts/benchmarks/attribution.py --run planted/attribute [...]
    python scripts/benchmarks/attribution.py --store cohort.zarr --checkpoint pretrain [--scans 100]

With --run, attribute runs over cohorts with a planted difference: for each method the AUC of its importance against
the planted regions, by totals and by voxel, and the same with weights randomised and labels permuted; beside them the
AUC of the classifiers that were explained. With --store, the time of fidelity over one evaluation pass of the same
scans, and how alike it ranks regions to hiding them one at a time.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from sklearn.metrics import roc_auc_score
from torch.utils.data import default_collate

sys.path.insert(0, str(Path(__file__).parent))
from table import Figures, parser, show

from fmrifm.attribution.fidelity import r2, region_fidelity
from fmrifm.attribution.ranks import spearman
from fmrifm.config import AttributeConfig, MaskingConfig
from fmrifm.data.store import Store
from fmrifm.data.windows import Window, Windows
from fmrifm.evaluation.reconstruction import reconstruction_scores
from fmrifm.masking import masker_for
from fmrifm.training.checkpoint import load_pretrained

SEED = 0
FEW = 12
"""Scans in which regions are hidden one at a time, too."""


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "")
    options.add_argument("--run", type=Path, nargs="+", default=[], help="attribute runs over planted cohorts")
    options.add_argument("--store", type=Path)
    options.add_argument("--checkpoint", type=Path)
    options.add_argument("--scans", type=int, default=100)
    asked = options.parse_args()
    if asked.run:
        table = pd.concat([planted(run) for run in asked.run])
        if asked.json:
            print(table.to_json(orient="records"))
        else:
            print("\n".join(f"| {' | '.join(map(str, row))} |" for row in [list(table), *table.to_numpy().tolist()]))
    if asked.store:
        show(*fidelity_cost(asked.store, asked.checkpoint, asked.scans), as_json=asked.json)


def planted(run: Path) -> pd.DataFrame:
    """One row a method of one run."""
    details = pd.read_csv(run / "region_details.tsv", sep="\t")
    checks = pd.read_csv(run / "checks.tsv", sep="\t").drop_duplicates(["method", "check"])
    checks = checks.pivot_table(index="method", columns="check", values="value")
    truth = json.loads((run / "provenance.json").read_text())["cohort"]["planted"]
    finetuned = Path(yaml.safe_load((run / "config.yaml").read_text())["checkpoint"])
    if not finetuned.is_absolute() and not finetuned.exists():
        finetuned = run.parent / finetuned.name
    classifier = json.loads((finetuned / "metrics.json").read_text())["scores"]["auc"]
    rows = []
    for method, table in details.groupby("method", sort=False):
        found = {name: against(table, truth, name) for name in ("total", "mean")}
        spoilt = {name: _rounded(checks.get(f"planted_{name}", {}).get(method)) for name in SPOILT}
        auc = f"{classifier['value']:.3f} ({classifier['ci_low']:.3f} to {classifier['ci_high']:.3f})"
        rows.append({"run": run.parent.name, "classifier AUC": auc, "method": method, **found, **spoilt})
    return pd.DataFrame(rows)


SPOILT = ("randomised_weights", "permuted_labels")


def against(table: pd.DataFrame, truth: list[int], score: str) -> str:
    """AUC of a column against the planted regions."""
    known = table.dropna(subset=score)
    return _rounded(roc_auc_score(known["index"].isin(truth), known[score]) if len(known) else None)


def _rounded(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else f"{value:.3f}"


def fidelity_cost(path: Path, checkpoint: Path, most: int) -> tuple[Figures, Figures]:
    """Seconds of fidelity and of an evaluation pass, and the agreement with one region at a time."""
    store, pretrained = Store(path), load_pretrained(checkpoint)
    model, keys = pretrained.model, store.scans["scan"].tolist()[:most]
    windows = Windows(store, keys, pretrained.tokens.window_volumes)
    masker = masker_for(model.tokenizer.pool, MaskingConfig())
    start = time.perf_counter()
    reconstruction_scores(model, windows, masker, np.array(keys), SEED)
    evaluation = time.perf_counter() - start
    defaults = AttributeConfig(store="", checkpoint="", out="")

    def fidelity(scans: range, groups: int, deals: int) -> np.ndarray:
        rng, found = np.random.default_rng(SEED), []
        for scan in scans:
            batch = Window(*default_collate([windows[place] for place in windows.cover(scan)]))
            parts = [region_fidelity(model, batch, groups, rng) for _ in range(deals)]
            found.append(
                r2(np.sum([part.left for part in parts], axis=0), np.sum([part.total for part in parts], axis=0))
            )
        return np.nanmean(found, axis=0)

    start = time.perf_counter()
    fidelity(range(len(keys)), defaults.groups, defaults.deals)
    ours = time.perf_counter() - start
    few = range(min(FEW, len(keys)))
    start = time.perf_counter()
    single = fidelity(few, model.tokenizer.regions, 1)
    one_at_a_time = (time.perf_counter() - start) * len(keys) / len(few)
    figures = {
        f"evaluation pass of {len(keys)} scans [s]": evaluation,
        "fidelity of all regions [s]": ours,
        "one region at a time, extrapolated [s]": one_at_a_time,
        "rank correlation with one at a time": spearman(single, fidelity(few, defaults.groups, defaults.deals)),
    }
    return figures, {
        "fidelity / evaluation pass": ours / evaluation,
        "one at a time / pass": one_at_a_time / evaluation,
    }


if __name__ == "__main__":
    main()
