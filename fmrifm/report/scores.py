"""Scores and differences with intervals: how they are read, written and judged."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fmrifm.report.content import number

LABELS = {
    "auc": "AUC",
    "balanced_accuracy": "Balanced accuracy",
    "average_precision": "Average precision",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "brier": "Brier score (lower is better)",
    "site_predictability": "Site predictability",
    "r2_voxel": "R² of hidden voxels",
    "r2_region": "R² of hidden region means",
    "r2_voxel_random": "R² of voxels under random masks",
    "r2_region_random": "R² of region means under random masks",
    "r2_voxel_region": "R² of voxels under region masks",
    "r2_region_region": "R² of region means under region masks",
    "skill_next_h1": "Skill over the last volume, one volume ahead",
    "skill_next_h2": "Skill over the last volume, two volumes ahead",
    "skill_next_h3": "Skill over the last volume, three volumes ahead",
    "auc_planted_occlusion": "AUC of importance by occlusion against the planted regions",
    "auc_planted_fidelity": "AUC of importance by fidelity against the planted regions",
}
"""Metrics in the order in which they are shown."""
LOWER_IS_BETTER = frozenset({"brier"})
NO_BETTER = "no better"


@dataclass(frozen=True)
class Score:
    """A value with its 95 % interval; what is unknown is NaN."""

    value: float
    ci_low: float = math.nan
    ci_high: float = math.nan
    n: int = 0
    p: float = math.nan
    """By permutation of the labels."""

    @classmethod
    def from_json(cls, entry: object) -> "Score":
        """Read an entry of metrics.json or a row of a table: value, ci_low, ci_high, n and p, or a bare number."""
        fields: Mapping[str, Any] = entry if isinstance(entry, dict) else {"value": entry}
        figures = {name: _float(fields.get(name)) for name in ("value", "ci_low", "ci_high", "p")}
        return cls(**figures, n=_count(fields.get("n")))

    def better_than(self, other: "Score") -> bool:
        """Whether this interval lies wholly above the other; without intervals never."""
        return self.ci_low > other.ci_high

    def text(self, decimals: int = 2) -> str:
        """The value and, where known, its interval in brackets."""
        return number(self.value, decimals) + _bracketed(self.ci_low, self.ci_high, decimals)

    def __str__(self) -> str:
        return self.text()

    def full(self) -> str:
        """The score with interval, count and p, for the first mention in a text."""
        if not math.isfinite(self.ci_low):
            return str(self)
        details = [f"95 % interval {number(self.ci_low)} to {number(self.ci_high)}"]
        details += [f"n = {self.n}"] if self.n else []
        details += [f"permutation {p_value(self.p)}"] if math.isfinite(self.p) else []
        return f"{number(self.value)} ({', '.join(details)})"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One model minus another on the same subjects and folds; what is unknown is NaN."""

    value: float
    ci_low: float
    ci_high: float
    """Ends of the 95 % interval that the verdict goes by."""
    p: float = math.nan
    """By the corrected resampled t-test (Nadeau and Bengio 2003)."""
    smallest: float = math.nan
    """Smallest difference that this number of subjects and folds shows with 80 % power at 5 %."""
    n: int = 0
    """Subjects."""

    @classmethod
    def from_json(cls, entry: Mapping[Any, Any]) -> "Difference":
        """Read an entry of metrics.json or a row of differences.tsv."""
        figures = {name: _float(entry.get(name)) for name in ("value", "ci_low", "ci_high", "p", "smallest")}
        return cls(**figures, n=_count(entry.get("n")))

    def verdict(self, metric: str) -> str:
        """Say better or worse only where the interval leaves out 0."""
        above, below = self.ci_low > 0, self.ci_high < 0
        if metric in LOWER_IS_BETTER:
            above, below = below, above
        return "better" if above else "worse" if below else NO_BETTER

    def __str__(self) -> str:
        return f"{signed(self.value)}{_bracketed(self.ci_low, self.ci_high, 3)}"

    def full(self) -> str:
        """The difference with its interval and p, to stand in brackets."""
        details = [f"{number(self.ci_low, 3)} to {number(self.ci_high, 3)}"] if math.isfinite(self.ci_low) else []
        details += [p_value(self.p)] if math.isfinite(self.p) else []
        return ", ".join([signed(self.value), *details])


def label(metric: str) -> str:
    """Name of a metric as a person reads it."""
    return LABELS.get(metric, metric.replace("_", " "))


def in_sentence(metric: str) -> str:
    """Name of a metric inside a sentence."""
    name = label(metric)
    return name if name[:2].isupper() or name.startswith("R²") else name[0].lower() + name[1:]


def ordered(metrics: Mapping[str, object]) -> list[str]:
    """Metrics in reading order, unknown ones last."""
    known = [metric for metric in LABELS if metric in metrics]
    return known + [metric for metric in metrics if metric not in LABELS]


def headline(scores: Mapping[str, object]) -> str | None:
    """The metric that a classifier is judged by, if it has one."""
    return next((metric for metric in ("auc", "balanced_accuracy") if metric in scores), None)


def best(baselines: Mapping[str, Mapping[str, Score]], metric: str) -> str | None:
    """The baseline with the highest value of a metric, if any has one."""
    values = {name: scores[metric].value for name, scores in baselines.items() if metric in scores}
    return max(values, key=lambda name: values[name], default=None)


def verdict(ours: Score, baseline: Score) -> str:
    """Say how a score stands to a baseline without their difference: better only where the intervals do not overlap."""
    return "better" if ours.better_than(baseline) else NO_BETTER


def p_value(p: float) -> str:
    """Write a p-value with its sign: p = 0.012, p < 0.001; a dash stands for a missing one."""
    return "p < 0.001" if p < 0.001 else f"p = {number(p, 3)}"


def signed(value: float) -> str:
    """Write a difference with its sign."""
    return f"{'+' if value > 0 else ''}{number(value, 3)}"


def span(values: list[float], decimals: int = 2) -> str:
    """Write the lowest and the highest value, or one where they look the same; missing ones do not count."""
    known = [value for value in values if math.isfinite(value)]
    ends = dict.fromkeys(number(end(known), decimals) for end in (min, max) if known)
    return " to ".join(ends)


def _bracketed(low: float, high: float, decimals: int) -> str:
    return f" ({number(low, decimals)} to {number(high, decimals)})" if math.isfinite(low) else ""


def _count(value: object) -> int:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
