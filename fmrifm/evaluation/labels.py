"""Labels of scans, checked: whole numbers from 0, one a subject."""

import pandas as pd

from fmrifm.errors import DataError


def labelled_scans(scans: pd.DataFrame, target: str) -> pd.DataFrame:
    """Scans that have a label, with a column `label` of whole numbers from 0.

    Raises:
        DataError: The column is missing, holds anything else or one label only, or differs between scans of a subject.
    """
    if target not in scans:
        raise DataError(f"The scan table has no column {target!r}; it has {', '.join(scans.columns)}. Choose --target.")
    labelled = scans.dropna(subset=[target]).copy()
    values = sorted(labelled[target].unique().tolist(), key=str)
    if len(values) < 2 or values != list(range(len(values))):
        raise DataError(
            f"Column {target!r} holds {values[:8]}; expected 0 and 1, both present, or 0, 1, 2 and so on for more "
            "than two classes. Choose another --target."
        )
    labelled["label"] = labelled[target].astype(int)
    mixed = labelled.groupby("subject")["label"].nunique()
    if (mixed > 1).any():
        raise DataError(
            f"Subjects with two labels in {target!r}: {', '.join(mixed.index[mixed > 1][:5])}. Mend the table."
        )
    return labelled
