"""Scores with intervals: how they are read, written and compared."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fmrifm.report.content import number

LABELS = {
    "balanced_accuracy": "Balanced accuracy",
    "auc": "AUC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "r2_voxel": "R² of hidden voxels",
    "r2_region": "R² of hidden region means",
    "auc_planted_occlusion": "AUC of importance by occlusion against the planted regions",
    "auc_planted_fidelity": "AUC of importance by fidelity against the planted regions",
}
"""Metrics in the order in which they are shown."""
CHANCE = {"balanced_accuracy": 0.5, "auc": 0.5}


@dataclass(frozen=True)
class Score:
    """A value with its 95 % interval; what is unknown is NaN."""

    value: float
    ci_low: float = math.nan
    ci_high: float = math.nan
    n: int = 0

    @classmethod
    def from_json(cls, entry: object) -> "Score":
        """Read an entry of metrics.json: an object with value, ci_low, ci_high and n, or a bare number."""
        fields: Mapping[str, Any] = entry if isinstance(entry, dict) else {"value": entry}
        low, high = fields.get("ci_low"), fields.get("ci_high")
        return cls(_float(fields.get("value")), _float(low), _float(high), int(fields.get("n") or 0))

    def better_than(self, other: "Score") -> bool:
        """Whether this interval lies wholly above the other; without intervals never."""
        return self.ci_low > other.ci_high

    def __str__(self) -> str:
        interval = f" ({number(self.ci_low)} to {number(self.ci_high)})" if math.isfinite(self.ci_low) else ""
        return f"{number(self.value)}{interval}"

    def full(self) -> str:
        """The score with interval and count, for the first mention in a text."""
        if not math.isfinite(self.ci_low):
            return str(self)
        count = f", n = {self.n}" if self.n else ""
        return f"{number(self.value)} (95 % interval {number(self.ci_low)} to {number(self.ci_high)}{count})"


def label(metric: str) -> str:
    """Name of a metric as a person reads it."""
    return LABELS.get(metric, metric.replace("_", " "))


def ordered(metrics: Mapping[str, Score]) -> list[str]:
    """Metrics in reading order, unknown ones last."""
    known = [metric for metric in LABELS if metric in metrics]
    return known + [metric for metric in metrics if metric not in LABELS]


def headline(scores: Mapping[str, Score]) -> str | None:
    """The metric that a classifier is judged by, if it has one."""
    return next((metric for metric in ("auc", "balanced_accuracy") if metric in scores), None)


def best(baselines: Mapping[str, Mapping[str, Score]], metric: str) -> str | None:
    """The baseline with the highest value of a metric, if any has one."""
    values = {name: scores[metric].value for name, scores in baselines.items() if metric in scores}
    return max(values, key=lambda name: values[name], default=None)


def verdict(ours: Score, baseline: Score) -> str:
    """Say how a score stands to a baseline: better only where the intervals do not overlap."""
    return "better than" if ours.better_than(baseline) else "no better than"


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
