"""`fmrifm cerebellum linedraw|order|digits`: learning over time, with and without a cerebellum that predicts feedback.

Leaves curves.tsv (a row a variant, seed and epoch), summary.tsv (a row a variant), learning.png and, of linedraw,
drawings.png.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from fmrifm.cerebellum.drawing import Learnt, Variant, movements, train
from fmrifm.cerebellum.recall import digits, order
from fmrifm.cerebellum.recall import train as train_recall
from fmrifm.config import CerebellumConfig, Credit
from fmrifm.report.circuits import learning_curves
from fmrifm.report.svg import FIRST, MUTED, STYLE

ALONE, WITH = "cortex alone, T = 1", "with cerebellum, T = 1"
_CREDITS: dict[str, list[tuple[Credit, int]]] = {
    "order": [("full", 40), ("gradcache", 10), *[(credit, horizon) for horizon in (20, 10)
              for credit in ("tbptt", "tbptt_dense", "tbptt_sg")]],
    "digits": [("full", 8), ("gradcache", 2), ("tbptt", 2), ("tbptt_dense", 2), ("tbptt_sg", 2)],
}  # fmt: skip
"""Ways to give credit, and frames of a stretch."""


def variants(epochs: int) -> dict[str, Variant]:
    """Ways to learn to draw; lesions come after a half and a fifth of the passes."""
    return {
        ALONE: Variant(horizon=1),
        WITH: Variant(horizon=1, synthesiser=True),
        "cerebellum lost at half": Variant(horizon=1, synthesiser=True, lesion_epoch=epochs // 2),
        "olive lost at a fifth": Variant(horizon=1, synthesiser=True, olive_epoch=epochs // 5),
        "four fibres a granule cell": Variant(horizon=1, synthesiser=True, fan_in=4),
        "cortex alone, T = 3": Variant(horizon=3),
        "with cerebellum, T = 3": Variant(horizon=3, synthesiser=True),
        "whole graph": Variant(horizon=10),
    }


def linedraw(config: CerebellumConfig, out: Path, say: Callable[[str], None]) -> None:
    """Teach every variant to draw lines."""
    found: dict[str, Learnt] = {}
    for name, variant in variants(config.epochs).items():
        say(f"{name} ...")
        found[name] = train(variant, range(config.seed, config.seed + config.seeds), config.epochs)
    curves = {name: learnt.error.T.numpy() for name, learnt in found.items()}
    table = _write_curves(curves, "error", out)
    summary = pd.DataFrame(
        {
            "variant": name, "error_median": float(learnt.error[-1].median()),
            "error_mean": float(learnt.error[-1].mean()), "error_sd": float(learnt.error[-1].std(correction=0)),
            "deviation_median": float(learnt.deviation.median()),
        }
        for name, learnt in found.items()
    )  # fmt: skip
    summary.to_csv(out / "summary.tsv", sep="\t", index=False)
    shown = [ALONE, WITH, "whole graph"]
    learning_curves(table[table["variant"].isin(shown)]).savefig(out / "learning.png", dpi=200)
    _draw_lines({name: found[name] for name in shown}, out / "drawings.png")


def recall(config: CerebellumConfig, out: Path, say: Callable[[str], None]) -> None:
    """Teach a recurrent head by every kind of credit, on the order of patterns or on digits."""
    make = order if config.task == "order" else digits
    curves: dict[str, np.ndarray] = {}
    for credit, horizon in _CREDITS[config.task]:
        say(f"{credit}, T = {horizon} ...")
        runs = []
        for seed in range(config.seed, config.seed + config.seeds):
            generator = torch.Generator().manual_seed(seed)
            runs.append(train_recall(make(generator), credit, horizon, generator, config.epochs))
        curves[f"{credit}, T = {horizon}"] = np.array(runs)
    table = _write_curves(curves, "accuracy", out)
    summary = pd.DataFrame(
        {"variant": name, "best_mean": runs.max(axis=1).mean(), "best_lowest": runs.max(axis=1).min(),
         "last_mean": runs[:, -1].mean(), "last_lowest": runs[:, -1].min()}
        for name, runs in curves.items()
    )  # fmt: skip
    summary.to_csv(out / "summary.tsv", sep="\t", index=False)
    learning_curves(table).savefig(out / "learning.png", dpi=200)


def _write_curves(curves: Mapping[str, np.ndarray], measure: str, out: Path) -> pd.DataFrame:
    """Curves of shape (seeds, epochs) as one long table."""
    rows = [
        {"variant": name, "seed": seed, "epoch": epoch + 1, measure: value}
        for name, runs in curves.items()
        for seed, run in enumerate(runs)
        for epoch, value in enumerate(run)
    ]
    table = pd.DataFrame(rows)
    table.to_csv(out / "curves.tsv", sep="\t", index=False)
    return table


@matplotlib.rc_context(STYLE)
def _draw_lines(found: Mapping[str, Learnt], path: Path) -> None:
    """The seven movements of the first seed, wanted ones in grey."""
    figure = Figure(figsize=(9.6, 3.4), layout="constrained")
    panels: Sequence[matplotlib.axes.Axes] = figure.subplots(1, len(found), sharex=True, sharey=True)
    for axes, (name, learnt) in zip(panels, found.items(), strict=True):
        for wanted, drawn in zip(movements()[1], learnt.drawn[0], strict=True):
            axes.plot(*wanted.T, color=MUTED, lw=3, alpha=0.4)
            axes.plot(*drawn.T, color=FIRST, marker="o", ms=2.5)
        axes.set(title=name, aspect="equal", xlabel="x")
    panels[0].set_ylabel("y")
    figure.savefig(path, dpi=150)
