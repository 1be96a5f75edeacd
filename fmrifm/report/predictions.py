"""Held-out predictions as a run left them: one row a scan and repeat."""

import pandas as pd

from fmrifm.errors import DataError
from fmrifm.evaluation.metrics import by_subject, probability_columns
from fmrifm.report.runs import Run

_COLUMNS = ("scan", "subject", "site", "fold", "label")
_DEFAULTS = {"repeat": 0, "threshold": 0.5}
"""What tables of older versions lack."""


def prediction_table(run: Run) -> pd.DataFrame | None:
    """The predictions of a run with all columns, or None without them.

    Raises:
        DataError: There is no column of probabilities.
    """
    table = run.table("predictions.tsv", _COLUMNS)
    if table is None:
        return None
    if not probability_columns(table):
        raise DataError(
            f"{run.path / 'predictions.tsv'}: columns {list(table.columns)}; expected also probability, or "
            f"probability_0 and following. Run the stage `{run.stage}` again."
        )
    return table.assign(**{name: value for name, value in _DEFAULTS.items() if name not in table})


def classes(run: Run) -> int:
    """Number of classes that a run tells apart; two where it left no predictions."""
    table = prediction_table(run)
    return 2 if table is None else max(2, len(probability_columns(table)))


def same_predictions(first: Run, second: Run) -> bool:
    """Whether two runs hold the same held-out predictions, so that one of them tells it all."""
    tables = [prediction_table(run) for run in (first, second)]
    if tables[0] is None or tables[1] is None:
        return False
    one, other = (
        table.set_index(["scan", "repeat"])[probability_columns(table)].sort_index().round(6)
        for table in tables
        if table is not None
    )
    return bool(one.equals(other))


def held_out(run: Run) -> pd.DataFrame | None:
    """One row a subject and repeat with label, and rank of the probability within the fold; None unless binary."""
    predictions = prediction_table(run)
    if predictions is None or "probability" not in predictions:
        return None
    subjects = by_subject(predictions.dropna(subset=["label", "probability"]))
    # Every fold has a model of its own, and their probabilities need not share a scale.
    return subjects.assign(rank=subjects.groupby("fold")["probability"].rank(pct=True))
