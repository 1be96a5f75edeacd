"""ADHD-200 as the Athena pipeline distributes it.

    <Site>_preproc/<Site>/<id>/sfnwmrda<id>_session_<s>_rest_<r>.nii.gz   s smoothed, f band-passed, n nuisance removed
    <Site>_TestRelease_preproc/...                                        the same for the test set
    <Site>_phenotypic.csv                                                 one table a folder, in it or anywhere
    allSubs_testSet_phenotypic_dx.csv                                     diagnoses of the test set, anywhere

`_preproc_filtfix` folders hold the corrected band-pass and go before `_preproc`. Ids have seven digits
in paths and no leading zeros in tables. Peking_1, _2 and _3 are three data sets of one institute, all
`Site` 1 in the tables; as sites they stay apart here, so leaving out one leaves its sisters in.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fmrifm.data.scan import Found, ScanRecord
from fmrifm.data.sources.folders import list_files
from fmrifm.data.sources.phenotypes import Cells, Table, columns, look_up, read_phenotypes
from fmrifm.errors import DataError

_NAME = re.compile(
    r"(?P<version>s?f?n?)wmrda(?P<id>\d{1,7})_session_(?P<session>\d+)_rest_(?P<run>\d+)\.nii(\.gz)?", re.ASCII
)
_FOLDER = re.compile(r"(?P<site>.+?)(?P<test>_TestRelease)?_preproc(?P<fixed>_filtfix)?")
_TABLE = re.compile(r"(?P<site>.+?)(?P<test>_TestRelease)?_phenotypic.*\.csv")
_TEST_SET = "allSubs_testSet_phenotypic_dx.csv"


@dataclass(frozen=True)
class Part:
    """The part of ADHD-200 that a folder or table holds."""

    site: str
    test: bool


Tables = Mapping[Part, Sequence[Table]]


def find(root: Path) -> Found:
    """Find the scans of every `*_preproc` folder at or below `root`, the best version of a run first.

    Best is band-passed, then smoothed, then without nuisance signal. A scan is refused when its
    part of ADHD-200 has a phenotypic table and no table has its id.

    Raises:
        DataError: No scan has the expected place and name, or a table cannot be read.
    """
    files, refused = list_files(root)
    tables, test_set = _read_tables(files)
    found = Found([], refused)
    scans = [(path, match) for path in files if (match := _NAME.fullmatch(path.name))]
    for path, match in sorted(scans, key=lambda scan: _rank(*scan)):
        try:
            found.records.append(_record(path, match, tables, test_set))
        except DataError as error:
            refused.append((path, str(error)))
    if not scans:
        raise DataError(
            f"{root}: no Athena scan among {len(files)} files. Expected "
            "<Site>_preproc/<Site>/<id>/sfnwmrda<id>_session_1_rest_1.nii.gz; point --root at the folder above them."
        )
    return found


def _rank(path: Path, match: re.Match[str]) -> tuple[object, ...]:
    """Runs in order of site and id; of one run the versions from best to worst."""
    folder = _folder(path)
    site, fixed = (folder["site"], bool(folder["fixed"])) if folder else ("", False)
    worse = [letter not in match["version"] for letter in "fsn"]
    return site, match["id"].zfill(7), match["session"], match["run"], not fixed, worse, path


def _folder(path: Path) -> re.Match[str] | None:
    """The `*_preproc` folder that a file lies in, nearest first."""
    return next((match for folder in path.absolute().parents if (match := _FOLDER.fullmatch(folder.name))), None)


def _record(path: Path, match: re.Match[str], tables: Tables, test_set: Sequence[Table]) -> ScanRecord:
    if not (folder := _folder(path)):
        raise DataError("no folder above it is named <Site>_preproc, so its site is unknown; name it so")
    if path.parent.name.isdecimal() and int(path.parent.name) != int(match["id"]):
        raise DataError(f"its name says id {match['id']}, its folder {path.parent.name}; put it where it belongs")
    part = Part(folder["site"], bool(folder["test"]))
    cells = _cells(int(match["id"]), part, tables, test_set)
    return ScanRecord(
        path=path,
        subject=match["id"].zfill(7),
        session=match["session"],
        run=match["run"],
        site=part.site,
        columns={
            **columns(cells, session=match["session"], run=match["run"]),
            "release": "test" if part.test else "train",
            "filtered": "f" in match["version"],
        },
    )


def _cells(subject: int, part: Part, tables: Tables, test_set: Sequence[Table]) -> Cells:
    """What is published of a subject; empty where its part has no table at all."""
    own = tables.get(part, [])
    asked = [*test_set, *own] if part.test else [*own, *test_set]
    if (cells := look_up(subject, asked)) is not None:
        return cells
    if own or (part.test and test_set):
        names = " nor in ".join(sorted({table.path.name for table in asked}))
        raise DataError(f"id {subject} is not in {names}; add its row, or remove the scan")
    return {}


def _read_tables(files: Sequence[Path]) -> tuple[dict[Part, list[Table]], list[Table]]:
    """The tables of each part, and those of the test set over all sites."""
    tables: dict[Part, list[Table]] = {}
    test_set = []
    for path in files:
        if path.name == _TEST_SET:
            test_set.append(read_phenotypes(path))
        elif match := _TABLE.fullmatch(path.name):
            place = _folder(path) or match
            part = Part(place["site"], bool(place["test"]))
            tables.setdefault(part, []).append(read_phenotypes(path))
    return tables, test_set
