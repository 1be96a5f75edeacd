"""`fmrifm report`: run folders, or a store, in; one self-contained HTML page out, and its figures for print."""

from pathlib import Path

import pandas as pd

from fmrifm.config import ReportConfig
from fmrifm.data.scan import read_table
from fmrifm.data.store import Store
from fmrifm.errors import ConfigError, DataError
from fmrifm.report.content import Page
from fmrifm.report.document import document
from fmrifm.report.page import run_page
from fmrifm.report.prints import save_figures
from fmrifm.report.quality import store_page
from fmrifm.report.runs import read_runs


def report(config: ReportConfig) -> Path:
    """Draw one self-contained HTML page over run folders, or over the quality of a store's scans.

    Args:
        config: What to read, the page to write, and where its figures go; what is older is replaced.

    Returns:
        Path of the page.

    Raises:
        DataError: A folder is no run or the store none, or a file in it is damaged.
        ConfigError: `out` is a folder, or `figures` a file.
    """
    out, figures = Path(config.out), Path(config.figures) if config.figures is not None else None
    if out.is_dir():
        raise ConfigError(f"out is {out}, a folder; expected a file to write. Set --out {out / 'report.html'}.")
    if figures is not None and figures.exists() and not figures.is_dir():
        raise ConfigError(f"figures is {figures}, a file; expected a folder. Set --figures {figures.with_suffix('')}.")
    page = run_page(read_runs(config.run)) if config.store is None else _quality(config.store)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(document(page), encoding="utf-8")
    if figures is not None:
        save_figures(page.sections, figures)
    return out


def _quality(path: str) -> Page:
    store = Store(path)
    return store_page(store, _refused(store.path) if isinstance(store.path, Path) else None)


def _refused(store: Path) -> pd.DataFrame | None:
    """The table that `prepare` leaves beside a store, if it is still there."""
    path = store.with_name("quarantine.tsv")
    if not path.exists():
        return None
    table = read_table(path)
    if missing := {"path", "reason"} - set(table):
        raise DataError(f"{path}: lacks {' and '.join(sorted(missing))}, expected path and reason. Move it away.")
    return table
