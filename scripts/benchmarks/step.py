"""What a training step costs: our model, a dense masked autoencoder, a 4D Swin, and our model with nothing left out.

    python scripts/benchmarks/step.py [--device cuda] [--atlas AAL3.nii.gz] [--turns 3] [--json]
        [--parts race growth windows feeding] [--rivals monai swin everything]

A step is forward, backward and AdamW on windows of noise. Rivals run in processes of their own and take turns; times
are medians after a step to warm up. Peak memory is what a process gains from before it builds its rival (resident
set; on a GPU what PyTorch allocated). Operations are counted by PyTorch's flop counter, those of fused attention with
its padding; the Cholesky factors of the prior (below 1 %) are not. The share of the device's rate is that of a
large matrix product of the same type in the same run.

In the race all have one window of 20 volumes of the brain at 4 mm (the 4D Swin: of 96 x 96 x 96 voxels) and the
masked ones hide 75 % and predict all of it. Growth and feeding are those of the default recipe.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from contestants import Sizes, everything, grown, matmul, monai, ours, recipe, swin
from table import Figures, parser, show
from turns import Result, Rival, Rules, race

from fmrifm.config import ModelConfig, TokensConfig

TINY = Sizes(
    spacing_mm=12, volumes=4, width=24, layers=1, decoder_width=12, decoder_layers=1, swin_edge=48,
    visible=(32, 64, 128), matmul=64, recipe=ModelConfig(width=24, layers=1, queries=16, components=4),
    recipe_tokens=TokensConfig(window_volumes=8, patch_volumes=4),
)  # fmt: skip
"""Seconds in all: shows that the script runs, and nothing else."""
PRECISIONS = ("float32", "bfloat16")
RIVALS = ("monai", "swin", "everything")


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "")
    options.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options.add_argument("--atlas", help="AAL3 label image; without it the approximation is used")
    options.add_argument("--parts", nargs="+", choices=PARTS, default=[*PARTS], help="what to measure")
    options.add_argument("--rivals", nargs="+", choices=RIVALS, default=[*RIVALS], help="whom to race with")
    options.add_argument("--turns", type=int, default=3, help="turns of each rival")
    options.add_argument("--tiny", action="store_true", help="tiny sizes: whether the script runs")
    asked = options.parse_args()
    sizes = replace(TINY if asked.tiny else Sizes(), atlas=asked.atlas)
    rules = Rules(device=asked.device, turns=asked.turns, turn_s=0.0 if asked.tiny else 1.0)
    figures: Figures = {}
    ratios: Figures = {}
    for part in asked.parts:
        more, compared = contest(sizes, rules, asked.rivals) if part == "race" else PARTS[part](sizes, rules)
        figures |= more
        ratios |= compared
    show(figures, ratios, asked.json)


def contest(sizes: Sizes, rules: Rules, against: Sequence[str] = RIVALS) -> tuple[Figures, Figures]:
    """Ours against the others, and the rate of the device."""
    rivals = [Rival(f"matmul, {kind}", matmul, (sizes, kind)) for kind in PRECISIONS]
    rivals += [Rival(f"ours, {kind}", ours, (sizes, kind, None)) for kind in PRECISIONS]
    others = {
        "monai": [Rival(f"MONAI, {kind}", monai, (sizes, kind)) for kind in PRECISIONS],
        "swin": [
            Rival("4D Swin, float32", swin, (sizes, False)),
            Rival("4D Swin, fused attention, float32", swin, (sizes, True)),
        ],
        "everything": [Rival("ours, nothing left out, float32", everything, (sizes,))],
    }
    results = race(rivals + [rival for name in against for rival in others[name]], rules)
    figures: Figures = {}
    ratios: Figures = {}
    for name, result in results.items():
        kind = name.split(", ")[-1]
        figures |= _figures(name, result, _rate(results[f"matmul, {kind}"]))
        if result not in (results[rival.name] for rival in rivals):
            ratios |= _ratios(name, f"ours, {kind}", results)
    return figures, ratios


def growth(sizes: Sizes, rules: Rules) -> tuple[Figures, Figures]:
    """Time and memory of a step as the visible tokens grow, beside the operations."""
    names = {visible: f"{visible} visible tokens" for visible in sizes.visible}
    results = race([Rival(name, grown, (sizes, visible)) for visible, name in names.items()], rules)
    figures: Figures = {}
    for name, result in results.items():
        figures |= {
            f"{name}: step (ms)": result.step_ms,
            f"{name}: operations, linear part (GFLOP)": result.linear / 1e9,
            f"{name}: operations, attention (GFLOP)": result.attention / 1e9,
            f"{name}: peak memory (MiB)": result.peak_mib,
        }
    ratios = {}
    for (few, less), (many, more) in pairwise(zip(sizes.visible, results.values(), strict=True)):
        pair = f"{few} to {many} visible tokens"
        counted = (more.linear + more.attention) / (less.linear + less.attention)
        figures[f"{pair}: memory of a further token (KiB)"] = 1024 * (more.peak_mib - less.peak_mib) / (many - few)
        ratios[f"{pair}: growth of time"] = more.step_ms / less.step_ms
        ratios[f"{pair}: growth of operations"] = counted
        ratios[f"{pair}: growth of time / of operations"] = more.step_ms / less.step_ms / counted
    return figures, ratios


def batches(sizes: Sizes, rules: Rules) -> tuple[Figures, Figures]:
    """Time per window as a step has more of them."""
    rivals = [
        Rival(f"default recipe, {windows} windows, {kind}", recipe, (sizes, windows, kind))
        for kind in PRECISIONS
        for windows in (1, 8)
    ]
    results = race(rivals, rules)
    figures: Figures = {}
    for name, result in results.items():
        figures |= _figures(name, result, None)
    one, eight = (results[f"default recipe, {windows} windows, float32"] for windows in (1, 8))
    return figures, {"time per window: 8 windows a step / 1": eight.step_ms / 8 / one.step_ms}


def feeding(sizes: Sizes, rules: Rules) -> tuple[Figures, Figures]:
    """What a step of the default recipe waits for."""
    from feeding import waiting  # not above: every rival's process imports this file, and need not know Lightning

    return waiting(torch.device(rules.device), sizes), {}


PARTS = {"race": contest, "growth": growth, "windows": batches, "feeding": feeding}


def _figures(name: str, result: Result, rate: float | None) -> Figures:
    counted = result.linear + result.attention
    if not result.work.tokens:
        return {f"{name}: rate (GFLOP/s)": _rate(result)}
    windows = 1000 * result.work.windows / result.step_ms
    figures = {
        f"{name}: step (ms)": result.step_ms,
        f"{name}: windows (1/s)": windows,
        f"{name}: tokens (1/s)": windows * result.work.tokens,
        f"{name}: peak memory (MiB)": result.peak_mib,
        f"{name}: operations (GFLOP)": counted / 1e9,
        f"{name}: parameters (M)": result.work.parameters / 1e6,
    }
    return figures if rate is None else figures | {f"{name}: share of the device's rate": _rate(result) / rate}


def _rate(result: Result) -> float:
    return (result.linear + result.attention) / result.step_ms / 1e6


def _ratios(rival: str, mine: str, results: dict[str, Result]) -> Figures:
    one, other = results[rival], results[mine]
    return {
        f"{rival} / {mine}: step": one.step_ms / other.step_ms,
        f"{rival} / {mine}: peak memory": one.peak_mib / other.peak_mib,
        f"{rival} / {mine}: operations": (one.linear + one.attention) / (other.linear + other.attention),
    }


if __name__ == "__main__":
    main()
