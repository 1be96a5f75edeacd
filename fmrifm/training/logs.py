"""The log of a run that was interrupted: Lightning starts its CSV file anew, and the curve would lose its beginning."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pandas as pd
from lightning.pytorch.utilities import rank_zero_only

from fmrifm.training.files import whole


@contextmanager
def continued_log(folder: Path) -> Iterator[None]:
    """Set aside what metrics.csv holds, and put it in front of what is logged meanwhile."""
    log, earlier = folder / "metrics.csv", folder / "earlier.csv"
    _join([earlier, log], into=earlier)
    yield
    _join([earlier, log], into=log)


@rank_zero_only
def _join(parts: list[Path], into: Path) -> None:
    tables = [pd.read_csv(part) for part in parts if part.is_file() and part.stat().st_size]
    if tables:
        # The steps between the last checkpoint and the interruption are run, and logged, again.
        kept = [table[table["step"] < after["step"].min()] for table, after in pairwise(tables)]
        with whole(into) as partial:
            pd.concat([*kept, tables[-1]]).to_csv(partial, index=False)
    for part in parts:
        if part != into:
            part.unlink(missing_ok=True)
