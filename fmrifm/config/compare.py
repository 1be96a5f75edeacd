"""Settings of `compare`, the trial of masking: those of a pretraining and of a classification together."""

from dataclasses import dataclass, field
from typing import Any

from fmrifm.config.checks import check
from fmrifm.config.classify import LEARNED, ReadoutConfig
from fmrifm.config.pretrain import MaskKind, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class CompareConfig(ReadoutConfig, NetworkConfig):
    """Try masking strategies against each other: pretrain, reconstruct and classify in every fold, equal in all else.

    Each seed shuffles the folds anew and draws other weights and masks, the same for all strategies. In each fold the
    model is pretrained on all scans but those of the subjects to be tested. A trial that was interrupted goes on.
    """

    store: str
    """Store with labelled scans; those without a label are pretrained on as well."""
    out: str
    """Run folder to write."""
    maskers: tuple[MaskKind, ...] = ("random", "tube", "region", "parcels")
    """Strategies; the differences are to the first."""
    repeats: int = 3
    """Seeds: rounds of folds, each with weights and masks of its own."""
    steps: int = 750
    """Updates of each pretraining."""
    factors: dict[str, list[Any]] = field(default_factory=dict)
    """Further settings to try in every combination, e.g. {masking.ratio: [0.5, 0.75], tokens.edge_voxels: [3, 5]}."""
    jobs: int = 1
    """Processes that work on cells side by side; on GPUs one each."""
    shard: str = "1/1"
    """Which part of the cells to do, e.g. 3/20 in a SLURM array; a last call without it makes the tables."""
    bootstrap: int = 1000
    """Resamples of subjects behind each interval."""
    trainer: dict[str, Any] = field(default_factory=dict)
    """Options of lightning.Trainer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(len(set(self.maskers)) >= 2, "maskers", list(self.maskers), "at least two strategies")
        check(self.pooling not in LEARNED, "pooling", self.pooling, "connectivity or mean, which need no training")
        check(self.steps >= 1, "steps", self.steps, "at least 1 update")
        check(self.jobs >= 1, "jobs", self.jobs, "at least 1 process")
        part = self.shard.split("/")
        whole = len(part) == 2 and all(number.isdecimal() for number in part) and 1 <= int(part[0]) <= int(part[1])
        check(whole, "shard", self.shard, "PART/PARTS, e.g. 3/20")
        named = all(isinstance(levels, list) and levels for levels in self.factors.values())
        check(named, "factors", self.factors, "lists of values by the name of a setting")
