"""Attribution's section: which regions and systems gave most, whether to believe it, and who gives to whom."""

from collections.abc import Mapping, Sequence

import pandas as pd

from fmrifm.report.brain import importance_map
from fmrifm.report.content import Picture, Section, View, counted
from fmrifm.report.contributions import contributions_section
from fmrifm.report.figures import ranking, system_bars
from fmrifm.report.glass import glass_brain
from fmrifm.report.methods import Method, featured, method_of
from fmrifm.report.rank_figures import region_ranks, system_ranks
from fmrifm.report.region_tables import by_method, detail_table, full_tables, region_table, system_table, systems_table
from fmrifm.report.runs import Run
from fmrifm.report.trust import trust_section
from fmrifm.report.view3d import interactive_map

SIGNIFICANT = 0.05
_SHOWN = 20
_SIZE = (
    "A score per region adds up what its voxels give, so that a large region may lead by size alone; the tables below "
    "also rank regions per voxel."
)
ByMethod = Mapping[str, pd.DataFrame]


def regions_section(run: Run, title: str) -> Section:
    """Show what one attribute run found: methods, map, ranking, its checks, systems, contributions and all tables."""
    regions, systems = by_method(region_table(run)), by_method(system_table(run))
    parts = [_leaders(regions, run.cohort.get("planted") or []), trust_section(run), _systems(systems)]
    parts += [contributions_section(run), _tables(run, regions, systems)]
    return Section(
        title=title,
        sentences=[_SIZE] if regions else [],
        points=[meaning for method in regions if (meaning := method_of(method).meaning)],
        pictures=_maps(run, list(regions)),
        views=_views(run, list(regions)),
        parts=[part for part in parts if part is not None],
    )


def _mapped(methods: Sequence[str]) -> Method:
    # The stage maps occlusion where it has asked it, else the first of its methods.
    return method_of("occlusion" if "occlusion" in methods else next(iter(methods), "attribution"))


def _maps(run: Run, methods: Sequence[str]) -> list[Picture]:
    path, about = run.path / "importance.nii.gz", _mapped(methods)
    if not path.exists():
        return []
    caption = f"Each region's importance by {about.name} on the MNI template, left side on the left. "
    glass = f"The same seen through the brain: along each line of sight the strongest {about.name} shows."
    return [
        importance_map(path, about.unit, f"{caption}Weak values fade into grey."),
        glass_brain(path, about.unit, glass),
    ]


def _views(run: Run, methods: Sequence[str]) -> list[View]:
    path, about = run.path / "importance.nii.gz", _mapped(methods)
    caption = f"The same to move through, by pointer or sliders: each region's importance by {about.name}."
    return [interactive_map(path, about.unit, caption)] if path.exists() else []


def _leaders(regions: ByMethod, planted: Sequence[int]) -> Section | None:
    if not regions:
        return None
    shown = featured(regions)
    pictures = [_ranking(regions[method], method, planted) for method in shown]
    if len(regions) > len(shown):
        pictures.append(region_ranks(regions, planted))
    return Section(title="Leading regions", pictures=pictures)


def _ranking(regions: pd.DataFrame, method: str, planted: Sequence[int]) -> Picture:
    top, about = regions.head(_SHOWN), method_of(method)
    signs = "" if top["p_fdr"].isna().all() or not about.tested else f" Filled: p < {SIGNIFICANT} (FDR)."
    if planted:
        signs += f" Diamonds: planted, {int(top['index'].isin(planted).sum())} of {len(planted)} are among these."
    count = f"The {len(top)} leading of {counted(len(regions), 'region')}"
    return ranking(top, about.unit, planted, f"{count} by {about.name}, with 95 % intervals.{signs}")


def _systems(systems: ByMethod) -> Section | None:
    if not systems:
        return None
    shown = featured(systems)
    pictures = []
    for method in shown:
        about = method_of(method)
        caption = f"Systems by {about.name}, mean over their regions weighted by voxels, with 95 % intervals."
        pictures.append(system_bars(systems[method], about.unit, caption))
    if len(systems) > len(shown):
        pictures.append(system_ranks(systems))
    return Section(title="Systems", pictures=pictures)


def _tables(run: Run, regions: ByMethod, systems: ByMethod) -> Section | None:
    tables = full_tables(regions, detail_table(run), run.cohort.get("planted") or [])
    tables += [systems_table(systems)] if systems else []
    return Section(title="Every region, method by method", tables=tables) if tables else None
