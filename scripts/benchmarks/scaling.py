"""How fast pretraining is on one device or several, and what it keeps in memory.

    python scripts/benchmarks/scaling.py --store cohort.zarr [--recipes adhd200_region base large] [--devices 1 2]
        [--strategies auto fsdp] [--batch 8] [--set trainer.precision=bf16-mixed ...] [--steps 40] [--json]

Each case trains in processes of its own, as `fmrifm pretrain` does: same module, windows and Trainer; nothing is saved
and nothing validated. Windows a second are those of all devices over the second half of the steps. `strong` keeps the
batch of the recipe, or --batch, over all devices; `weak` gives each device that batch. Memory is what PyTorch
allocated at most on the first GPU, or the largest resident set of the first process.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

sys.path.insert(0, str(Path(__file__).parent))
from table import Figures, parser, show

from fmrifm.data.store import Store
from fmrifm.errors import ConfigError
from fmrifm.recipes import parse
from fmrifm.training.assembly import assemble
from fmrifm.training.compiled import compile_blocks
from fmrifm.training.datamodule import split_subjects
from fmrifm.training.faults import TellWhatFits, in_words
from fmrifm.training.trainer import OWN_SHARES, make_trainer


def main() -> None:
    """Measure every case in turn and print."""
    options = parser(__doc__ or "")
    options.add_argument("--store", required=True)
    options.add_argument("--recipes", nargs="+", default=["adhd200_region"])
    options.add_argument("--devices", type=int, nargs="+", default=[1])
    options.add_argument("--strategies", nargs="+", default=["auto"], help="of lightning.Trainer; auto on one device")
    options.add_argument("--kinds", nargs="+", choices=("strong", "weak"), default=["strong"])
    options.add_argument("--batch", type=int, help="windows a step instead of the recipe's")
    options.add_argument("--set", nargs="*", default=[], help="further settings, NAME=VALUE")
    options.add_argument("--steps", type=int, default=40)
    options.add_argument("--case", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.case:
        _train(json.loads(asked.case))
        return
    figures: Figures = {}
    for recipe in asked.recipes:
        for devices in asked.devices:
            for strategy in asked.strategies:
                for kind in asked.kinds if devices > 1 else ["strong"]:
                    case = {**vars(asked), "recipe": recipe, "devices": devices, "strategy": strategy, "kind": kind}
                    name = f"{recipe}, {devices} x {strategy}{f', {kind}' if devices > 1 else ''}"
                    figures |= {f"{name}: {what}": value for what, value in _measure(case).items()}
    one = [f"{recipe}, 1 x {asked.strategies[0]}: windows/s" for recipe in asked.recipes]
    ratios = {
        f"{name} / one": value / figures[first]
        for first in one
        if first in figures
        for name, value in figures.items()
        if name.endswith("windows/s") and name != first and name.split(",")[0] == first.split(",")[0]
    }
    show(figures, ratios, asked.json)


def _measure(case: dict[str, Any]) -> dict[str, float]:
    command = [sys.executable, __file__, "--store", case["store"], "--case", json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        said = done.stderr.strip()[-600:]
        print(f"{case['recipe']}, {case['devices']} x {case['strategy']}: {said}", file=sys.stderr)
        return {}
    return dict(json.loads(lines[-1]))


def _train(case: dict[str, Any]) -> None:
    settings = parse("pretrain", [*_words(case)])
    store = Store(settings.store)
    train, held = split_subjects(store.scans, settings.validation, settings.seed)
    keys = [store.scans.loc[store.scans["subject"].isin(part), "scan"].tolist() for part in (train, held)]
    L.seed_everything(0, verbose=False)
    module, data = assemble(store, settings, *keys)
    if settings.model.compile:
        compile_blocks(module.model)
    clock, memory = Clock(case["steps"]), TellWhatFits()
    trainer = make_trainer(
        {**settings.trainer, **OWN_SHARES, "max_epochs": -1, "max_steps": case["steps"], "callbacks": [clock, memory]},
        gradient_clip_val=1.0, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=0, num_sanity_val_steps=0,
    )  # fmt: skip
    try:
        with in_words(memory):
            trainer.fit(module, datamodule=data)
    except ConfigError as error:
        sys.exit(str(error))
    if trainer.is_global_zero:
        parameters = sum(parameter.numel() for parameter in module.parameters())
        rate = settings.optim.batch_size * clock.timed / clock.seconds
        found = {"windows/s": rate, "ms a step": 1000 * clock.seconds / clock.timed, "peak MiB": clock.peak_mib}
        print(json.dumps({**found, "windows a step": settings.optim.batch_size, "parameters (M)": parameters / 1e6}))


def _words(case: dict[str, Any]) -> list[str]:
    """The settings of a case, as words after `fmrifm pretrain`."""
    recipes = ["--config", "adhd200_region"] if case["recipe"] in ("tiny", "small", "base", "large") else []
    words = [*recipes, "--config", case["recipe"], "--store", case["store"], "--out", os.devnull]
    words += [f"--{setting}" for setting in case["set"]]
    words += ["--trainer.devices", str(case["devices"]), "--trainer.strategy", case["strategy"]]
    batch = case["batch"] or parse("pretrain", words).optim.batch_size
    return [*words, "--optim.batch_size", str(batch * (case["devices"] if case["kind"] == "weak" else 1))]


class Clock(Callback):
    """Times the second half of the steps."""

    def __init__(self, steps: int) -> None:
        self.first, self.timed, self.seconds, self.peak_mib = steps // 2, steps - steps // 2, 0.0, 0.0

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *batch: Any) -> None:
        """Start, or stop, when the device has done what it was asked."""
        if trainer.global_step not in (self.first, self.first + self.timed):
            return
        on_gpu = pl_module.device.type == "cuda"
        if on_gpu:
            torch.cuda.synchronize()
        self.seconds = time.perf_counter() - self.seconds
        resident = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.peak_mib = (torch.cuda.max_memory_allocated() if on_gpu else resident) / 2**20


if __name__ == "__main__":
    main()
