"""Who gives to whom: the R2 that one region, or system, loses when another is hidden too.

Axes: R regions, N systems; first the one that gives, then the one that receives.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmrifm.atlas import read_regions
from fmrifm.errors import DataError
from fmrifm.report.content import Section, Table, counted, number
from fmrifm.report.contribution_figures import contribution_brain, system_matrix
from fmrifm.report.region_tables import region_table
from fmrifm.report.runs import Run

_LINKS = 40
_SURE = 2.0
"""Standard errors that a contribution must exceed to be shown; of pure noise 2.3 % do."""
_NOISE = 0.023
_FILE = "contributions.npz"


@dataclass(frozen=True, eq=False)
class Contributions:
    """Who gives to whom in one run."""

    regions: pd.DataFrame
    """name and system of each region, in the order of the axes."""
    lost: NDArray[np.float64]
    """[i, j]: R2 that region j loses when i is hidden too, shape (R, R); NaN where unknown."""
    se: NDArray[np.float64]
    """Its standard error over scans."""

    @property
    def sure(self) -> NDArray[np.bool_]:
        """True where a contribution exceeds its noise."""
        return self.lost > _SURE * self.se


def contributions_section(run: Run) -> Section | None:
    """Show the strongest contributions between regions, and those between systems; None where there are none."""
    found = _read(run)
    if found is None:
        return None
    lost, sure = found.lost, found.sure
    names, systems = found.regions["name"].astype(str).tolist(), found.regions["system"].astype(str)
    pictures = []
    if (places := _coordinates(found.regions)) is not None and sure.any():
        pictures.append(contribution_brain(np.where(sure, lost, np.nan), places, names, _LINKS))
    order = sorted(systems.unique())
    pictures.append(system_matrix(_by_system(lost, systems.to_numpy(str), order), order))
    return Section(
        title="What regions give to each other",
        sentences=[_meaning(found)],
        pictures=pictures,
        tables=[_strongest(found, names)],
    )


def _read(run: Run) -> Contributions | None:
    path, table = run.path / _FILE, region_table(run)
    if not path.exists() or table is None:
        return None
    with np.load(path) as arrays:
        if absent := {"index", "contribution", "se"} - set(arrays):
            raise DataError(f"{path}: arrays {sorted(arrays)}; expected also {sorted(absent)}. Run attribute again.")
        index, lost, se = (arrays[name] for name in ("index", "contribution", "se"))
    regions = table.drop_duplicates("index").set_index("index")
    if unknown := sorted(set(index.tolist()) - set(regions.index)):
        raise DataError(f"{path}: regions {unknown[:5]} are not in regions.tsv. Run attribute again.")
    return Contributions(regions.loc[index, ["name", "system"]].reset_index(), lost, se)


def _coordinates(regions: pd.DataFrame) -> NDArray[np.float64] | None:
    """Centres of the regions in mm, shape (R, 3); None where the atlas is not ours."""
    table = read_regions().set_index("index")
    if not set(regions["index"]) <= set(table.index):
        return None
    return table.loc[regions["index"], ["x_mm", "y_mm", "z_mm"]].to_numpy(float)


def _by_system(lost: NDArray[np.float64], system: NDArray[np.str_], order: list[str]) -> NDArray[np.float64]:
    """Mean over the known pairs of regions, shape (N, N); NaN where no pair is known."""
    member = np.stack([system == name for name in order]).astype(float)
    known = ~np.isnan(lost)
    total, count = (member @ values @ member.T for values in (np.where(known, lost, 0.0), known.astype(float)))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _meaning(found: Contributions) -> str:
    known = int((~np.isnan(found.lost)).sum())
    share = found.sure.sum() / max(known, 1)
    beyond = "hardly more than" if share < 2 * _NOISE else "more than"
    return (
        "A contribution is the R² that one region's prediction loses when another is hidden beside it. Of "
        f"{counted(known, 'pair')} that were seen, {number(100 * share, 1)} % lie {number(_SURE, 0)} standard errors "
        f"above 0; noise alone would give {number(100 * _NOISE, 1)} %, so there is {beyond} noise in single pairs."
    )


def _strongest(found: Contributions, names: list[str]) -> Table:
    value = np.where(found.sure, found.lost, -np.inf)
    order = np.argsort(-value, axis=None, kind="stable")[: min(_LINKS, int(found.sure.sum()))]
    rows = []
    for giver, receiver in zip(*np.unravel_index(order, value.shape), strict=True):
        figures = [number(found.lost[giver, receiver], 3), number(found.se[giver, receiver], 3)]
        rows.append([names[giver], names[receiver], *figures])
    return Table(
        caption=f"The {len(rows)} strongest contributions of one region to another",
        columns=["hidden too", "region that loses", "R² lost", "standard error"],
        rows=rows,
        folded=True,
    )
