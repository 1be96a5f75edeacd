"""From scans to subjects: scores averaged, and the long table of all of them.

Axes: S scans, U subjects, R regions.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmrifm.attribution.resampling import COVERED

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Subjects:
    """The subjects of a cohort, sorted, and how scans become theirs."""

    table: pd.DataFrame
    """One row a subject: subject, site, and of labelled ones label and fold."""
    rows: NDArray[np.intp]
    """Row of each scan's subject, shape (S,)."""

    def average(self, scores_SR: Array) -> Array:
        """Mean over the known scans of each subject: (S, R) to (U, R)."""
        known = ~np.isnan(scores_SR)
        total, count = np.zeros((2, len(self.table), scores_SR.shape[1]))
        np.add.at(total, self.rows, np.where(known, scores_SR, 0.0))
        np.add.at(count, self.rows, known)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    @property
    def case(self) -> NDArray[np.bool_]:
        """True for a label other than 0, shape (U,)."""
        return self.table["label"].to_numpy() > 0


def subjects_of(scans: pd.DataFrame) -> Subjects:
    """Gather scans by subject."""
    columns = [name for name in ("site", "label", "fold") if name in scans]
    table = scans.groupby("subject", sort=True)[columns].first().reset_index()
    return Subjects(table, table["subject"].searchsorted(scans["subject"]).astype(np.intp))


def long_table(
    subjects: Subjects, regions: pd.DataFrame, method: str, mean_UR: Array, total_UR: Array | None, coverage_UR: Array
) -> pd.DataFrame:
    """One row a subject and region, as subjects.parquet holds it; no score where the subject lacks the region."""
    people, places = len(subjects.table), len(regions)
    label = subjects.table["label"] if "label" in subjects.table else pd.Series(np.nan, index=subjects.table.index)
    covered = (coverage_UR >= COVERED).ravel()
    total_UR = np.full_like(mean_UR, np.nan) if total_UR is None else total_UR
    return pd.DataFrame(
        {
            "subject": np.repeat(subjects.table["subject"].to_numpy(), places),
            "site": np.repeat(subjects.table["site"].to_numpy(), places),
            "label": np.repeat(label.to_numpy(float), places),
            "method": method,
            "index": np.tile(regions["index"].to_numpy(), people),
            "name": np.tile(regions["name"].to_numpy(), people),
            "coverage": coverage_UR.ravel(),
            "total": np.where(covered, total_UR.ravel(), np.nan),
            "mean": np.where(covered, mean_UR.ravel(), np.nan),
        }
    )
