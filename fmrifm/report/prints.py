"""Figures of a page as files for print: SVG, and PNG at 300 dpi, on white paper."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib

from fmrifm.report.content import Picture, Section, file_stem
from fmrifm.report.svg import STYLE

_DPI = 300


def save_figures(sections: Sequence[Section], folder: Path) -> list[Path]:
    """Save every picture of a page, under the name of its section and caption.

    Args:
        sections: Of the page.
        folder: Made where it is missing; files of the same name are replaced.

    Returns:
        The files, in reading order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths, used = [], set[str]()
    for stem, picture in _named(sections):
        name = next(name for name in (stem, *(f"{stem}-{n}" for n in range(2, len(used) + 3))) if name not in used)
        used.add(name)
        paths += [_save(picture, folder / f"{name}{suffix}") for suffix in (".svg", ".png")]
    return paths


def _named(sections: Sequence[Section], *above: str) -> Iterator[tuple[str, Picture]]:
    for section in sections:
        titles = (*above, section.title)
        yield from ((file_stem(*titles, picture.caption), picture) for picture in section.pictures)
        yield from _named(section.parts, *titles)


@matplotlib.rc_context(STYLE)
def _save(picture: Picture, path: Path) -> Path:
    # Without a date the same figure gives the same file.
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    picture.figure.savefig(path, dpi=_DPI, facecolor="white", metadata=metadata)
    return path
