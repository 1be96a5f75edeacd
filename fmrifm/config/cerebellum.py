"""Settings of `cerebellum`."""

from dataclasses import dataclass
from typing import Literal

from fmrifm.config.checks import check

CircuitTask = Literal["linedraw", "order", "digits", "control"]


@dataclass(frozen=True, kw_only=True)
class CerebellumConfig:
    """Run a circuit model of the cerebellum on its own task: tables and figures, no scans."""

    task: CircuitTask
    """`linedraw`, `order`, `digits`: learn over time with and without a cerebellum that predicts feedback
    (arXiv:2110.11501). `control`: anticipate on motor plants and in a simulated neurofeedback loop
    (arXiv:1701.07775)."""
    out: str
    """Run folder to write."""
    seeds: int = 10
    """Networks of each kind, all but for control: 10 draw lines in half an hour, 3 serve for order and digits."""
    epochs: int = 100
    """Passes over the examples, all but for control; 60 serve for order, 40 for digits."""
    trials: int = 200
    """Trials on a motor plant; neurofeedback has 60."""
    seed: int = 0
    """Seed of the first network, and of noise."""

    def __post_init__(self) -> None:
        check(self.seeds >= 1, "seeds", self.seeds, "at least 1 network")
        check(self.epochs >= 1, "epochs", self.epochs, "at least 1 pass")
        check(self.trials >= 10, "trials", self.trials, "at least 10 trials")
