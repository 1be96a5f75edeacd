"""When a run that can be read is refused all the same, each with its own sentence.

Axes: V brain voxels of the grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fmrifm.data.grid import Grid
from fmrifm.data.images import OpenScan
from fmrifm.data.resample import field_of_view
from fmrifm.errors import DataError

_LEAST_COVERAGE = 0.01
"""A run with less of the brain than this share lies elsewhere, whatever is asked for."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a run must not fall short of or exceed."""

    min_volumes: int = 2
    """Shortest run, in consecutive volumes."""
    min_coverage: float = 0.0
    """Least share of the brain mask with signal; never below 1 %."""
    max_nonfinite: float = 0.0
    """Largest share of the brain mask with NaN or infinity."""
    max_gib: float = float("inf")
    """Most GiB of memory that the stored numbers may need."""

    def check_field_of_view(self, scan: OpenScan, grid: Grid) -> None:
        """Refuse a run whose box holds too little of the brain, before it is read.

        Raises:
            DataError: It does.
        """
        share = field_of_view(scan.image, grid)
        if share < self._least_coverage:
            raise DataError(
                f"{scan.path}: its field of view holds {share:.1%} of the brain mask, expected at least "
                f"{self._least_coverage:.0%}. It is not in MNI space or lacks most of the brain; normalise it, or "
                "lower --min_coverage."
            )

    def check_memory(self, scan: OpenScan, grid: Grid) -> None:
        """Refuse a run whose time courses on the grid would not fit, before it is read.

        Raises:
            DataError: They would not.
        """
        volumes, voxels = scan.image.shape[3], len(grid.voxels)
        needed = volumes * voxels * np.float32().nbytes / 2**30
        if needed > self.max_gib:
            raise DataError(
                f"{scan.path}: {volumes} volumes of {voxels} brain voxels need {needed:.3g} GiB, expected at most "
                f"{self.max_gib:g}. Raise --max_gib if the header is right."
            )

    def check_finite(self, path: Path, broken_V: NDArray[np.bool_]) -> None:
        """Refuse a run with NaN or infinity in too many voxels.

        Raises:
            DataError: It has.
        """
        share = broken_V.mean()
        if share > self.max_nonfinite:
            raise DataError(
                f"{path}: NaN or infinity in {broken_V.sum()} voxels, {share:.2%} of the brain mask, expected at most "
                f"{self.max_nonfinite:.2%}. Repair it, or raise --max_nonfinite to count them as not covered."
            )

    def check_varies(self, path: Path, deviation_V: NDArray[np.float32]) -> None:
        """Refuse a run without any signal.

        Raises:
            DataError: It has none.
        """
        if not deviation_V.any():
            raise DataError(f"{path}: every voxel is constant or empty. Give the preprocessed run, not a mask of it.")

    def check_length(self, path: Path, segments: Sequence[int]) -> None:
        """Refuse a run of which cleaning leaves no stretch that is long enough.

        Raises:
            DataError: It leaves none.
        """
        if max(segments) < self.min_volumes:
            raise DataError(
                f"{path}: the longest stretch that cleaning leaves has {max(segments)} volumes, expected at least "
                f"{self.min_volumes}. Scrub less, or lower --min_volumes."
            )

    def check_coverage(self, path: Path, deviation_V: NDArray[np.float32]) -> None:
        """Refuse a run with signal in too little of the brain.

        Raises:
            DataError: It has.
        """
        share = (deviation_V > 0).mean()
        if share < self._least_coverage:
            raise DataError(
                f"{path}: signal in {share:.1%} of the brain mask, expected at least {self._least_coverage:.0%}. "
                "It is masked or has a partial field of view; give the whole run, or lower --min_coverage."
            )

    @property
    def _least_coverage(self) -> float:
        return max(self.min_coverage, _LEAST_COVERAGE)
