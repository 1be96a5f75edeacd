"""Any folder of scans: a table that lists them, or simply the files.

A CSV or TSV has a `path` column; it may have `subject`, `session`, `run`, `site`, `tr_s`, `confounds`
(a table of nuisance time courses) and `brain_mask`. Paths start at the table's folder. Every other
column is a label or covariate. A folder is read through its scans.tsv or scans.csv; without one,
every NIfTI file directly in it is a scan.
"""

from pathlib import Path

from fmrifm.data.scan import Found, ScanRecord, parse_value, read_table
from fmrifm.errors import DataError

_FIELDS = ("path", "subject", "session", "run", "site", "tr_s", "confounds", "brain_mask")


def find(root: Path) -> Found:
    """Find the scans that a table lists, or that lie in a folder.

    Raises:
        DataError: The table has no `path` column, or the folder no NIfTI file.
    """
    if not root.is_dir():
        return _from_table(root)
    tables = [path for name in ("scans.tsv", "scans.csv") if (path := root / name).exists()]
    return _from_table(tables[0]) if tables else _from_files(root)


def _from_files(root: Path) -> Found:
    try:
        paths = sorted(path for path in root.iterdir() if path.name.endswith((".nii", ".nii.gz")))
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error.strerror}). Give yourself access to the folder.") from None
    if not paths:
        raise DataError(f"{root}: no .nii or .nii.gz file and no scans.tsv here. Point --root at one of them.")
    return Found([ScanRecord(path=path, subject=_stem(path)) for path in paths])


def _from_table(path: Path) -> Found:
    table = read_table(path)
    if "path" not in table:
        raise DataError(f"{path}: columns {list(table)}, expected `path`. List one scan a row, its file under `path`.")
    if "scan" in table:
        raise DataError(f"{path}: has a column `scan`, which a store uses for the scan's own name. Rename the column.")
    found = Found([])
    for line, row in enumerate(table.to_dict(orient="records"), start=2):
        cells = {str(name): str(text).strip() for name, text in row.items()}
        try:
            found.records.append(_record(cells, path))
        except DataError as error:
            found.refused.append((path.parent / cells["path"], f"{error} (line {line} of {path.name})"))
    return found


def _record(cells: dict[str, str], table: Path) -> ScanRecord:
    if not cells["path"]:
        raise DataError("no path is given; name the scan's file, or remove the row")
    path = _file(cells["path"], table)
    if cells.get("subject") == "":
        raise DataError("no subject is given; without it one person's scans cannot be kept together")
    tr_s = parse_value(cells.get("tr_s", ""))
    if isinstance(tr_s, str):
        raise DataError(f"tr_s is {tr_s!r}, expected a number of seconds")
    confounds, mask = cells.get("confounds"), cells.get("brain_mask")
    return ScanRecord(
        path=path,
        subject=cells.get("subject") or _stem(path),
        session=cells.get("session") or "1",
        run=cells.get("run") or "1",
        site=cells.get("site") or "unknown",
        tr_s=tr_s,
        confounds=_file(confounds, table) if confounds else None,
        brain_mask=_file(mask, table) if mask else None,
        columns={name: parse_value(text) for name, text in cells.items() if name not in _FIELDS},
    )


def _file(name: str, table: Path) -> Path:
    path = table.parent / name
    try:
        path.stat()
    except OSError as error:
        raise DataError(f"{name} cannot be read ({error.strerror}); correct the path, or remove the row") from None
    return path


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")
