"""`fmrifm report`: run folders in, one self-contained HTML page out."""

from pathlib import Path

from fmrifm.config import ReportConfig
from fmrifm.errors import ConfigError
from fmrifm.report.page import render
from fmrifm.report.runs import read_runs


def report(config: ReportConfig) -> Path:
    """Draw one self-contained HTML page over one or more run folders.

    Args:
        config: Run folders to read and page to write; an older page is replaced.

    Returns:
        Path of the page.

    Raises:
        DataError: A folder is no run, or a file in it is damaged.
        ConfigError: `out` is a folder.
    """
    out = Path(config.out)
    if out.is_dir():
        raise ConfigError(f"out is {out}, a folder; expected a file to write. Set --out {out / 'report.html'}.")
    page = render(read_runs(config.run))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    return out
