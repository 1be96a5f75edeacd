"""`fmrifm demo`: the embedded synthetic cohort through the whole chain, offline.

Every stage runs as a user would run it, on NIfTI files, with the shipped recipe `demo`.
"""

from pathlib import Path

from rich.console import Console

from fmrifm.config import DemoConfig, ReportConfig
from fmrifm.data.phantom import write_phantom
from fmrifm.errors import ConfigError
from fmrifm.recipes import fill
from fmrifm.stages.attribute import attribute
from fmrifm.stages.evaluate import evaluate
from fmrifm.stages.finetune import finetune
from fmrifm.stages.prepare import prepare
from fmrifm.stages.pretrain import pretrain
from fmrifm.stages.report import report

_RECIPE = "demo"
_RUNS = ("pretrain", "finetune", "evaluate", "attribute")
"""Runs in the report, in the order they were made."""


def demo(config: DemoConfig) -> Path:
    """Run the demo and return the path of its report.

    Raises:
        ConfigError: The folder holds something already.
    """
    out = Path(config.out)
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out}: not empty. Choose another --out, or remove it.")
    console, seed = Console(stderr=True, highlight=False), config.seed
    console.print("Writing the embedded synthetic cohort (NIfTI files in ADHD-200's layout) ...")
    cohort = write_phantom(out / "cohort", seed=seed)
    console.print("prepare: scans to one store ...")
    store = prepare(fill("prepare", _RECIPE, {"root": cohort, "out": out / "cohort.zarr"}))
    common = {"store": store, "seed": seed}
    console.print("pretrain: hide whole regions, predict them from the rest ...")
    pretrained = pretrain(fill("pretrain", _RECIPE, {**common, "out": out / "pretrain"}))
    console.print("finetune: a classifier a fold on the frozen encoder ...")
    common["checkpoint"] = pretrained
    finetuned = finetune(fill("finetune", _RECIPE, {**common, "out": out / "finetune"}))
    console.print("evaluate: the classifier beside its baselines ...")
    common["checkpoint"] = finetuned
    evaluate(fill("evaluate", _RECIPE, {**common, "out": out / "evaluate"}))
    console.print("attribute: which regions mattered ...")
    attribute(fill("attribute", _RECIPE, {**common, "out": out / "attribute"}))
    runs = tuple(str(out / name) for name in _RUNS)
    return report(ReportConfig(run=runs, out=str(out / "report.html")))
