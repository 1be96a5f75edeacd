"""ADHD-200 as the Athena pipeline distributes it.

    <Site>_preproc/<Site>/<id>/sfnwmrda<id>_session_<s>_rest_<r>.nii.gz   band-passed; without `f`: not filtered
    <Site>_preproc/<Site>/<Site>_phenotypic.csv                           one table a site
    allSubs_testSet_phenotypic_dx.csv                                     diagnoses of the test set, anywhere

Ids have seven digits in paths and no leading zeros in tables.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from fmrifm.data.scan import Found, ScanRecord, Value, parse_value, read_table
from fmrifm.errors import DataError

_NAME = re.compile(r"s(?P<filtered>f?)nwmrda(?P<id>\d{7})_session_(?P<session>\d+)_rest_(?P<run>\d+)\.nii(\.gz)?")
_TEST_SET = "allSubs_testSet_phenotypic_dx.csv"
_SEX: dict[Value, Value] = {0: "F", 1: "M"}
_HAND: dict[Value, Value] = {"L": 0, "R": 1}

Cells = dict[str, Value]
"""One row of a phenotypic table, cell by column; missing ones are left out."""


def find(root: Path) -> Found:
    """Find the scans of every `*_preproc` folder at or below `root`.

    Where a run is there both filtered and unfiltered, the unfiltered file is refused.

    Raises:
        DataError: No scan has the expected place and name.
    """
    trees = [root] if root.name.endswith("_preproc") else sorted(root.rglob("*_preproc"))
    test_set = _read_tables(sorted(root.rglob(_TEST_SET)))
    found = Found([])
    for tree in trees:
        _find_site(tree, test_set, found)
    if not found.records:
        raise DataError(
            f"{root}: no Athena scan below {len(trees)} *_preproc folders. Expected "
            "<Site>_preproc/<Site>/<id>/sfnwmrda<id>_session_1_rest_1.nii.gz; point --root at the folder above them."
        )
    return found


def _find_site(tree: Path, test_set: Mapping[int, Cells], found: Found) -> None:
    site = tree.name.removesuffix("_preproc")
    tables = _read_tables(sorted([*tree.glob("*_phenotypic*.csv"), *tree.glob("*/*_phenotypic*.csv")]))
    runs: dict[tuple[str, str, str], Path] = {}
    # "sfnwmrda" sorts before "snwmrda", so the filtered file of a run comes first.
    for path in sorted([*tree.glob("*/*.nii*"), *tree.glob("*/*/*.nii*")], key=lambda path: (path.parent, path.name)):
        if not (match := _NAME.fullmatch(path.name)):
            continue
        run = (match["id"], match["session"], match["run"])
        if run in runs and not match["filtered"]:
            found.refused.append((path, f"the unfiltered copy of a run that is taken filtered, {runs[run].name}"))
            continue
        runs.setdefault(run, path)
        cells = {**test_set.get(int(match["id"]), {}), **tables.get(int(match["id"]), {})}
        columns = _columns(cells, session=match["session"], run=match["run"])
        found.records.append(
            ScanRecord(path=path, subject=run[0], session=run[1], run=run[2], site=site, columns=columns)
        )


def _read_tables(paths: list[Path]) -> dict[int, Cells]:
    """Rows by id over all tables; a later table only fills what earlier ones leave out."""
    rows: dict[int, Cells] = {}
    for path in paths:
        for row in read_table(path).to_dict(orient="records"):
            cells = {str(name).strip(): parse_value(str(text)) for name, text in row.items()}
            known = {name: value for name, value in cells.items() if value is not None}
            if isinstance(subject := known.get("ScanDir ID", known.get("ID")), int):
                rows[subject] = {**known, **rows.get(subject, {})}
    return rows


def _columns(cells: Cells, *, session: str, run: str) -> Cells:
    """Label and covariates of one scan in fmrifm's words."""
    subtype = cells.get("DX")
    hand = cells.get("Handedness")
    return {
        "dx": None if subtype is None else int(subtype != 0),
        "dx_subtype": subtype,
        "age": cells.get("Age"),
        "sex": _SEX.get(cells.get("Gender")),
        "handedness": _HAND.get(hand, hand),  # a code at most sites, the Edinburgh score at NYU
        "iq": cells.get("Full4 IQ", cells.get("Full2 IQ")),  # `IQ Measure` is the code of the test
        "qc_rest": cells.get(f"QC_Rest_{run}") if session == "1" else None,
    }
