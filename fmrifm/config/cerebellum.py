"""Settings of `cerebellum`."""

from dataclasses import dataclass
from typing import Literal

from fmrifm.config.checks import check

CircuitTask = Literal["control"]


@dataclass(frozen=True, kw_only=True)
class CerebellumConfig:
    """Run a circuit model of the cerebellum on its own task: tables and figures, no scans."""

    task: CircuitTask
    """`control`: anticipate on motor plants and in a simulated neurofeedback loop, by rules that differ in their
    eligibility trace (arXiv:1701.07775)."""
    out: str
    """Run folder to write."""
    trials: int = 200
    """Trials on a motor plant; neurofeedback has 60."""
    seed: int = 0
    """Seed of noise."""

    def __post_init__(self) -> None:
        check(self.trials >= 10, "trials", self.trials, "at least 10 trials")
