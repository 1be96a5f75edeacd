"""Settings of `predict`."""

from dataclasses import dataclass
from typing import Literal, get_args

from fmrifm.config.checks import check

Circuit = Literal["cerebellum", "recurrent", "attention"]


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Predict what each region does next: skill on held-out subjects, a rollout, and what came as a surprise."""

    store: str
    """Store of scans that were not band-passed."""
    checkpoint: str
    """Run folder of `fmrifm pretrain`, or one of its checkpoints: its regions are predicted, and by its own head, too,
    where its objective was `next` or `mask+next`."""
    out: str
    """Run folder to write."""
    circuits: tuple[Circuit, ...] = get_args(Circuit)
    """Predictors: a feed-forward `cerebellum`, a `recurrent` one, and causal `attention`, with about as many numbers
    that learn. The first one makes the rollout and the surprise."""
    lags: int = 8
    """Volumes that a prediction looks back on."""
    granule: int = 2000
    """Granule cells of the cerebellum."""
    context: int = 30
    """Volumes at the start of a stretch by whose mean and deviation it is scaled; none of them is predicted."""
    validation: float = 0.2
    """Share of subjects held out, whole, to measure on."""
    epochs: int = 10
    """Most passes over the training scans where a circuit learns by gradient."""
    rollout_volumes: int = 60
    """Volumes that are made up after the first held-out subject's scan."""
    bootstrap: int = 1000
    """Resamples of subjects behind each interval."""
    seed: int = 0
    """Seed of the split, the weights and the rollout."""

    def __post_init__(self) -> None:
        check(bool(self.circuits), "circuits", list(self.circuits), "at least one predictor")
        check(1 <= self.lags <= self.context, "lags", self.lags, f"between 1 and context, {self.context}")
        check(self.granule >= 1, "granule", self.granule, "at least 1 cell")
        check(self.context >= 10, "context", self.context, "at least 10 volumes")
        check(0 < self.validation < 1, "validation", self.validation, "a share of the subjects between 0 and 1")
        for name in ("epochs", "rollout_volumes", "bootstrap"):
            check(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
