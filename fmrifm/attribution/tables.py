"""The tables of a run: what every method says of regions, systems and subjects, and the checks beside it.

Axes: S scans, U subjects, R regions on the grid.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmrifm.attribution.cohort import Cohort, generator_of
from fmrifm.attribution.details import region_details
from fmrifm.attribution.methods import RegionScores
from fmrifm.attribution.regions import region_table, system_table
from fmrifm.attribution.resampling import counted
from fmrifm.attribution.sanity import size_checks, tsnr_check
from fmrifm.attribution.spoilt import group_value, spoilt_checks
from fmrifm.attribution.stability import stability
from fmrifm.attribution.subjects import Subjects, long_table, subjects_of
from fmrifm.evaluation.permutation import shuffle_within

Array = NDArray[np.float64]


@dataclass(eq=False)
class Explained:
    """One method's scores of one cohort, seen by subject."""

    cohort: Cohort
    scores: RegionScores
    regions: pd.DataFrame
    """Regions on the grid in the model's order: index, name, system, n_voxels."""
    subjects: Subjects = field(init=False)

    def __post_init__(self) -> None:
        self.subjects = subjects_of(self.cohort.scans)

    @property
    def method(self) -> str:
        """Its name in the tables."""
        return self.scores.method

    @cached_property
    def coverage(self) -> Array:
        """Share of each region's voxels that each subject's scans cover, shape (U, R)."""
        return self.subjects.average(self.cohort.coverage)

    @property
    def label(self) -> NDArray[np.int64] | None:
        """1 for cases, 0 for controls, where importance is their difference."""
        return self.subjects.case.astype(np.int64) if self.scores.of_label else None

    def of_subjects(self, scores_SR: Array) -> Array:
        """Scores by subject, NaN where the subject lacks the region, shape (U, R)."""
        return counted(self.subjects.average(scores_SR), self.coverage)

    @cached_property
    def importance(self) -> Array:
        """Group value of each region, shape (R,)."""
        return group_value(
            self.of_subjects(self.scores.importance), self.subjects.case if self.scores.of_label else None
        )

    def region_table(self, resamples: int) -> pd.DataFrame:
        """One row a region, as regions.tsv holds it."""
        return region_table(self.regions, *self._arguments(self.scores.importance, resamples))

    def system_table(self, resamples: int) -> pd.DataFrame:
        """One row a system, as systems.tsv holds it."""
        return system_table(self.regions, *self._arguments(self.scores.importance, resamples))

    def details(self, resamples: int, permutations: int) -> pd.DataFrame:
        """One row a region, as region_details.tsv holds it."""
        scores, table = self.scores, self.subjects.table
        label = (
            table["label"].gt(0).astype(float).where(table["label"].notna()).to_numpy() if "label" in table else None
        )
        correlation = None if scores.correlation is None else group_value(self.of_subjects(scores.correlation), None)
        return region_details(
            self.regions,
            None if scores.total is None else self.subjects.average(scores.total),
            self.subjects.average(scores.mean),
            self.coverage,
            self.method,
            label=label,
            site=table["site"].to_numpy(object),
            halves=scores.of_label,
            resamples=resamples,
            permutations=permutations,
            rng=generator_of(self.cohort.seed, 4),  # the draws of regions.tsv
            correlation_R=correlation,
        )

    def stability(self) -> pd.DataFrame:
        """How far the folds' rankings agree, as rows of stability.tsv; only of methods that ask the folds."""
        if "fold" not in self.subjects.table:
            return pd.DataFrame()
        fold = self.subjects.table["fold"].to_numpy()
        return stability(self.of_subjects(self.scores.importance), fold, self.label, self.method)

    def ranking_checks(self) -> pd.DataFrame:
        """Whether the ranking is that of region size or signal quality."""
        case = self.subjects.case if self.scores.of_label else None
        mean = None if self.scores.total is None else group_value(self.of_subjects(self.scores.mean), case)
        found = [size_checks(self.method, self.importance, mean, self.cohort.voxels)]
        if self.cohort.tsnr is not None:
            found.append(tsnr_check(self.method, self.importance, self.cohort.tsnr))
        return pd.concat(found)

    def subject_table(self) -> pd.DataFrame:
        """One row a subject and region, as subjects.parquet holds it."""
        mean = self.subjects.average(self.scores.mean)
        total = None if self.scores.total is None else self.subjects.average(self.scores.total)
        return long_table(self.subjects, self.regions, self.method, mean, total, self.coverage)

    def spoilt_checks(self, planted: list[int] | None) -> pd.DataFrame:
        """What is left of the ranking with random weights and with shuffled labels."""
        truth = None if planted is None else self.regions["index"].isin(planted).to_numpy()
        case = self.subjects.case if self.scores.of_label else None
        found = []
        if self.scores.random is not None:
            spoilt = np.stack([group_value(self.of_subjects(values), case) for values in self.scores.random])
            found.append(spoilt_checks("randomised_weights", self.method, self.importance, spoilt, truth))
        if self.scores.shuffled is not None:
            spoilt = np.stack([self._under_shuffle(number) for number in range(len(self.scores.shuffled))])
            found.append(spoilt_checks("permuted_labels", self.method, self.importance, spoilt, truth))
        return pd.concat(found) if found else pd.DataFrame()

    def completeness(self) -> pd.DataFrame:
        """Largest share of a scan's log-odds that the scores miss, where they should add up to them."""
        if self.scores.error is None:
            return pd.DataFrame()
        value = float(np.nanmax(self.scores.error))
        return pd.DataFrame([{"method": self.method, "check": "completeness", "value": value, "expected": 0.0}])

    def _under_shuffle(self, number: int) -> Array:
        """Importance by shuffled labels throughout: those that were learnt, and those that are compared."""
        assert self.scores.shuffled is not None  # noqa: S101
        values = self.of_subjects(self.scores.shuffled[number])
        asked = ~np.isnan(values).all(axis=1)
        table = self.subjects.table[asked]
        rng = generator_of(self.cohort.seed, 3, number)
        (case,) = shuffle_within(self.subjects.case[asked], table["site"].to_numpy(object), 1, rng)
        return group_value(values[asked], case)

    def _arguments(self, scores_SR: Array, resamples: int) -> tuple:  # type: ignore[type-arg]
        rng = generator_of(self.cohort.seed, 4)
        return self.subjects.average(scores_SR), self.coverage, self.method, self.label, resamples, rng
