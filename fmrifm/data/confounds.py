"""Which nuisance time courses to regress out of a run, and which of its volumes to keep.

fMRIPrep's tables go through nilearn's interface; in any other table the columns of a strategy are
found by how their names begin (nilearn's ADHD set: motion-pitch, csf, global, compcor1, ...).

Axes: T volumes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from nilearn.interfaces.fmriprep import load_confounds
from numpy.typing import NDArray

from fmrifm.data.scan import ScanRecord, read_table
from fmrifm.errors import DataError

_UNSTEADY = "non_steady_state_outlier"
_BEGINNINGS = {
    "motion": ("motion", "trans_", "rot_"),
    "wm_csf": ("wm", "white_matter", "csf"),
    "global_signal": ("global",),
    "compcor": ("compcor", "a_comp_cor"),
    "high_pass": ("cosine", "lineartrend", "linear_trend"),
}


@dataclass(frozen=True, eq=False)
class Confounds:
    """What the table of one run asks for."""

    steady: NDArray[np.bool_]
    """True for volumes in the scanner's steady state, shape (T,); the first few often are not."""
    kept: NDArray[np.bool_]
    """True for volumes that are also not scrubbed for motion, shape (T,)."""
    regressors: pd.DataFrame | None = None
    """One row a volume, one column a regressor."""


def read_confounds(record: ScanRecord, strategies: Sequence[str], volumes: int) -> Confounds:
    """Read the confound table of a run.

    Volumes that fMRIPrep flags as not in steady state are never kept, whatever the strategies.

    Args:
        record: The run.
        strategies: Names of nilearn's `load_confounds`; none asks for no regressor.
        volumes: How many volumes the run has.

    Raises:
        DataError: There is no table, it does not fit the run, or it lacks what a strategy needs.
    """
    every = np.ones(volumes, dtype=bool)
    if record.confounds is None:
        if strategies:
            raise DataError(
                f"{record.path}: no confound table beside it, expected one for cleaning.confounds "
                f"{', '.join(strategies)}. Use --source fmriprep, name one in the table, or leave the setting empty."
            )
        return Confounds(every, every)
    table = read_table(record.confounds).apply(pd.to_numeric, errors="coerce")
    if len(table) != volumes:
        raise DataError(
            f"{record.confounds}: {len(table)} rows, expected one for each of {volumes} volumes of {record.path.name}."
            " Give the table of this run."
        )
    flagged = table.filter(like=_UNSTEADY)
    steady = ~(flagged == 1).any(axis=1).to_numpy()
    if not strategies:
        return Confounds(steady, steady)
    if "_desc-confounds_" not in record.confounds.name:
        return Confounds(steady, steady, _by_name(record.confounds, table, strategies))
    return _of_fmriprep(record, strategies, steady)


def _of_fmriprep(record: ScanRecord, strategies: Sequence[str], steady: NDArray[np.bool_]) -> Confounds:
    try:
        regressors, sample_mask = load_confounds(str(record.path), strategy=tuple(strategies))
    except ValueError as error:  # a strategy is unknown, or its columns are missing
        raise DataError(
            f"{record.path}: cannot be cleaned as asked ({error}). Change the `cleaning` settings."
        ) from None
    kept = steady.copy()
    if sample_mask is not None:
        kept &= np.isin(np.arange(len(steady)), sample_mask)
    return Confounds(steady, kept, regressors)


def _by_name(path: Path, table: pd.DataFrame, strategies: Sequence[str]) -> pd.DataFrame:
    columns: list[str] = []
    for strategy in strategies:
        found = [str(name) for name in table if str(name).lower().startswith(_BEGINNINGS.get(strategy, ()))]
        if not found:
            raise DataError(
                f"{path}: no column for cleaning.confounds {strategy}; columns {', '.join(map(str, table))}. "
                "Leave it out, or use fMRIPrep's tables."
            )
        columns += found
    regressors = table[columns]
    if broken := [str(name) for name in regressors if not np.isfinite(regressors[name]).all()]:
        raise DataError(f"{path}: {', '.join(broken)} hold cells that are no numbers. Fill or remove them.")
    return regressors
