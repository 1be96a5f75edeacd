"""ADHD-200's phenotypic tables: rows by subject, and what a row says in fmrifm's words.

Ids have no leading zeros here. Column order differs from site to site, the id is `ScanDir ID` or
`ID`, and `pending`, -999, N/A or nothing at all stand for a missing value. The test set's diagnoses
were published later, in a table of its own that all sites share; until then a site says `pending`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fmrifm.data.scan import Value, parse_value, read_table
from fmrifm.errors import DataError

_IDS = ("ScanDir ID", "ID")
_SUBTYPES = (0, 1, 2, 3)
_SEX: dict[Value, Value] = {0: "F", 1: "M"}
_HAND: dict[Value, Value] = {"L": 0, "R": 1}
_MEDICATED: dict[Value, Value] = {1: 0, 2: 1}

Cells = dict[str, Value]
"""One row of a table, cell by column; missing ones are left out."""


@dataclass(frozen=True)
class Table:
    """One phenotypic table; a subject may stand in several rows."""

    path: Path
    rows: dict[int, list[Cells]]


def read_phenotypes(path: Path) -> Table:
    """Read one table.

    Raises:
        DataError: It cannot be read, has no column of ids, or an id that is no number.
    """
    raw = read_table(path).rename(columns=str.strip)  # `Secondary Dx ` ends in a blank
    column = next((name for name in _IDS if name in raw), None)
    if column is None:
        raise DataError(f"{path}: columns {list(raw)}, expected `ScanDir ID` or `ID`. Name the column of ids so.")
    rows: dict[int, list[Cells]] = {}
    for number, row in enumerate(raw.to_dict(orient="records"), start=2):
        cells = {str(name): parse_value(str(text)) for name, text in row.items()}
        known: Cells = {name: value for name, value in cells.items() if value is not None}
        subject = known.get(column)
        if isinstance(subject, int):
            rows.setdefault(subject, []).append(known)
        elif known:
            raise DataError(f"{path}: line {number} has the id {row[column]!r}, expected a number. Correct it.")
    return Table(path, rows)


def look_up(subject: int, tables: Sequence[Table]) -> Cells | None:
    """Merge what the tables say of a subject; earlier ones go before later ones.

    Returns:
        The cells, or None where no table has the subject.

    Raises:
        DataError: Two rows differ in diagnosis.
    """
    found = [(table.path.name, cells) for table in tables for cells in table.rows.get(subject, [])]
    diagnoses = {cells["DX"]: name for name, cells in found if "DX" in cells}
    if len(diagnoses) > 1:
        said = " and ".join(f"{dx} in {name}" for dx, name in diagnoses.items())
        raise DataError(f"id {subject} has DX {said}; correct one of them, or remove it")
    merged: Cells = {}
    for _, cells in reversed(found):
        merged.update(cells)
    return merged if found else None


def columns(cells: Cells, *, session: str, run: str) -> Cells:
    """Label, covariates and quality of one scan: dx 0 control, 1 ADHD; dx_subtype 0-3 as in the tables.

    Quality is 1 pass, 0 questionable; it is published for the first session alone, of whose
    anatomical scans the first is meant. `medicated` is 1 where ADHD was ever treated with drugs.

    Raises:
        DataError: The diagnosis is none of ADHD-200's.
    """
    subtype = cells.get("DX")
    if subtype is not None and subtype not in _SUBTYPES:
        raise DataError(f"DX is {subtype!r}, expected 0 to 3 or a code of a missing value; correct the table")
    first = session == "1"
    return {
        "dx": None if subtype is None else int(subtype != 0),
        "dx_subtype": subtype,
        "age": cells.get("Age"),
        "sex": _translate(cells.get("Gender"), _SEX),
        "handedness": _translate(cells.get("Handedness"), _HAND),  # a code at most sites, Edinburgh's score at NYU
        "iq": cells.get("Full4 IQ", cells.get("Full2 IQ")),  # `IQ Measure` is the code of the test
        "medicated": _translate(cells.get("Med Status"), _MEDICATED),
        "secondary_dx": cells.get("Secondary Dx"),
        "qc_rest": cells.get(f"QC_Rest_{run}") if first else None,
        "qc_anatomical": cells.get("QC_Anatomical_1") if first else None,
    }


def _translate(value: Value, words: dict[Value, Value]) -> Value:
    """Our word for a code; what has none stays as it is."""
    return words.get(value, value)
