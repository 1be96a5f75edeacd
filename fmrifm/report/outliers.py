"""Which scans stand out of their site, by the measures of `data/quality.py`."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from fmrifm.report.content import number

FEWEST = 5
"""Scans with a measure that a site needs before one of them can stand out: quartiles of fewer say nothing."""
_FENCE = 1.5
"""Interquartile ranges beyond the quartiles at which a value stands out (Tukey 1977)."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A column of the scan table that can be too low, too high, or both."""

    column: str
    name: str
    decimals: int
    unit: str = ""
    low: bool = False
    high: bool = False
    scale: float = 1

    def label(self) -> str:
        """Name and unit, for an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def text(self, value: float) -> str:
        """A value with its unit."""
        return f"{number(value, self.decimals)} {self.unit}".rstrip()

    def values(self, scans: pd.DataFrame) -> pd.Series:
        """Values as the page shows them, rounded, so that what looks equal is equal; missing where not known."""
        if self.column not in scans:
            return pd.Series(float("nan"), index=scans.index)
        return (pd.to_numeric(scans[self.column], errors="coerce") * self.scale).round(self.decimals)


MEASURES: Sequence[Measure] = (
    Measure(column="tsnr", name="temporal SNR", decimals=1, low=True, high=True),
    Measure(column="mean_fd", name="mean framewise displacement", unit="mm", decimals=2, high=True),
    Measure(column="coverage", name="share of the brain covered", unit="%", decimals=1, low=True, scale=100),
    Measure(column="drift", name="variance in linear drift", unit="%", decimals=1, high=True, scale=100),
    Measure(column="n_spikes", name="volumes that are spikes", decimals=0, high=True),
)


def outliers(scans: pd.DataFrame) -> pd.DataFrame:
    """Find values beyond Tukey's fences of their site, on the side that is a fault.

    Args:
        scans: Scan table with scan, subject, site and whichever measures are known.

    Returns:
        One row a value: scan, subject, site, measure (its name), value and fence, each also as `_text`, and excess
        in interquartile ranges.
    """
    return pd.concat([_beyond(scans, measure) for measure in MEASURES], ignore_index=True)


def worst(found: pd.DataFrame, most: int) -> list[str]:
    """Scans with the most outlying measures, of equals those furthest out."""
    scans = found.groupby("scan").agg(measures=("measure", "size"), excess=("excess", "sum"))
    return scans.sort_values(["measures", "excess"], ascending=False, kind="stable").index[:most].tolist()


def _beyond(scans: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    values = measure.values(scans)
    by_site = values.groupby(scans["site"].fillna("unknown"))
    lower, upper = by_site.transform("quantile", 0.25), by_site.transform("quantile", 0.75)
    width = upper - lower
    below, above = lower - _FENCE * width, upper + _FENCE * width
    known = by_site.transform("count") >= FEWEST
    too_low, too_high = known & measure.low & (values < below), known & measure.high & (values > above)
    fence = below.where(too_low, above)
    table = scans[["scan", "subject"]].assign(
        site=scans["site"].fillna("unknown"),
        measure=measure.name,
        value=values,
        fence=fence,
        value_text=values.map(measure.text),
        fence_text=fence.map(lambda value: f"{number(value)} {measure.unit}".rstrip()),
        excess=(values - fence).abs() / width.clip(lower=10.0**-measure.decimals),
    )
    return table[too_low | too_high]
