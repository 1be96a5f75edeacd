"""Any folder of scans: a table that lists them, or simply the files.

A CSV or TSV has a `path` column, from the table's folder; `subject`, `session`, `run`, `site` and
`tr_s` are read where present, every other column is a label or covariate. A folder is read
through its scans.tsv or scans.csv; without one, every NIfTI file directly in it is a scan.
"""

from pathlib import Path

from fmrifm.data.scan import Found, ScanRecord, parse_value, read_table
from fmrifm.errors import DataError

_FIELDS = ("subject", "session", "run", "site")


def find(root: Path) -> Found:
    """Find the scans that a table lists, or that lie in a folder.

    Raises:
        DataError: The table has no `path` column, or the folder no NIfTI file.
    """
    if root.is_file():
        return _from_table(root)
    tables = [path for name in ("scans.tsv", "scans.csv") if (path := root / name).exists()]
    return _from_table(tables[0]) if tables else _from_files(root)


def _from_files(root: Path) -> Found:
    paths = sorted([*root.glob("*.nii"), *root.glob("*.nii.gz")])
    if not paths:
        raise DataError(f"{root}: no .nii or .nii.gz file and no scans.tsv here. Point --root at one of them.")
    return Found([ScanRecord(path=path, subject=_stem(path)) for path in paths])


def _from_table(path: Path) -> Found:
    table = read_table(path)
    if "path" not in table:
        raise DataError(f"{path}: columns {list(table)}, expected `path`. List one scan a row, its file under `path`.")
    found = Found([])
    for row in table.to_dict(orient="records"):
        cells = {str(name): str(text).strip() for name, text in row.items()}
        scan = path.parent / cells.pop("path")
        tr_s = parse_value(cells.pop("tr_s", ""))
        if not scan.is_file():
            found.refused.append((scan, f"no such file; {path.name} lists it"))
        elif isinstance(tr_s, str):
            found.refused.append((scan, f"tr_s is {tr_s!r} in {path.name}, expected a number of seconds"))
        else:
            found.records.append(_record(scan, tr_s, cells))
    return found


def _record(path: Path, tr_s: float | None, cells: dict[str, str]) -> ScanRecord:
    return ScanRecord(
        path=path,
        subject=cells.get("subject") or _stem(path),
        session=cells.get("session") or "1",
        run=cells.get("run") or "1",
        site=cells.get("site") or "unknown",
        tr_s=tr_s,
        columns={name: parse_value(text) for name, text in cells.items() if name not in _FIELDS},
    )


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")
