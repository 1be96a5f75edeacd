"""Files that travel with the package: atlas tables and recipes.

A wheel carries them inside the package; a source tree keeps them at its root.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(*parts: str) -> Path:
    """Return the path of a file or folder that ships with fmrifm, e.g. `resource("atlases", "aal3")`.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    for root in (_PACKAGE / "_resources", _PACKAGE.parent):
        if (path := root.joinpath(*parts)).exists():
            return path
    raise FileNotFoundError(f"{'/'.join(parts)} is missing from this installation of fmrifm; reinstall it.")
