"""Prepare one scan, from its record to its place in the store: what `prepare` does in many processes.

Axes: V brain voxels.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmrifm.config import CleaningConfig
from fmrifm.data.grid import Grid
from fmrifm.data.journal import source_state
from fmrifm.data.limits import Limits
from fmrifm.data.preprocess import PreparedScan, prepare_scan
from fmrifm.data.quality import region_coverage, uncovered_regions
from fmrifm.data.scan import ScanRecord
from fmrifm.data.scan_writer import ScanWriter
from fmrifm.errors import DataError

_OWN_COLUMNS = (
    "n_volumes", "segments", "coverage", "resampled", "n_nonfinite", "n_unsteady", "n_scrubbed", "tsnr", "drift",
    "n_spikes", "power_low", "power_band", "power_high", "spectrum", "signature", "uncovered_regions",
    "region_coverage", "sha256",
)  # fmt: skip
"""Columns of the scan table that tell what was measured or done."""


@dataclass(frozen=True, eq=False)
class Preparation:
    """What a process needs to prepare scans: called with a record, it writes the scan or notes why not."""

    grid: Grid
    """Where the voxels are."""
    labels: NDArray[np.int32]
    """Atlas value of each brain voxel, shape (V,)."""
    cleaning: CleaningConfig
    """What is removed from the time courses."""
    limits: Limits
    """When a scan is refused."""
    folder: Path
    """The data set's folder, from which paths are told."""
    writer: ScanWriter
    """Where the scan goes."""

    def __call__(self, record: ScanRecord) -> None:
        """Prepare one scan; its fault is noted, so that one bad file does not end the others."""
        source = source_state(record)
        try:
            scan = prepare_scan(record, self.grid, self.cleaning, self.limits)
        except DataError as error:
            self.writer.refuse(record.key, str(error), source)
        else:
            row = self._row(record, scan)
            self.writer.add(row, scan.signal, scan.mean, scan.deviation, source=source)

    @staticmethod
    def check_names(records: Iterable[ScanRecord]) -> None:
        """Refuse labels and covariates under names that a scan's row has already.

        Raises:
            DataError: There is one.
        """
        taken = {name for record in records for name in record.columns} & set(_OWN_COLUMNS)
        if taken:
            raise DataError(
                f"The data set has columns {', '.join(sorted(taken))}, which fmrifm writes itself. Rename them there."
            )

    def _row(self, record: ScanRecord, scan: PreparedScan) -> dict[str, Any]:
        values = np.unique(self.labels[self.labels > 0])
        return {
            **record.row(self.folder),
            "tr_s": scan.tr_s,
            "segments": scan.segments,
            "coverage": round(scan.coverage, 4),
            "resampled": scan.resampled,
            "n_nonfinite": scan.n_nonfinite,
            "n_unsteady": scan.n_unsteady,
            "n_scrubbed": scan.n_scrubbed,
            **scan.quality,
            "uncovered_regions": uncovered_regions(self.labels, scan.covered),
            "region_coverage": np.rint(100 * region_coverage(self.labels, values, scan.covered)).astype(int),
        }
