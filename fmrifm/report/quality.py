"""The page over a store: what was measured, what stands out, and what could pass for a finding.

Axes: V brain voxels, R regions.
"""

import json

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmrifm.atlas import APPROXIMATION, Atlas
from fmrifm.data.store import Store
from fmrifm.evaluation.risks import leakage_risks
from fmrifm.report.cohort import cohort_section
from fmrifm.report.content import Code, Page, Picture, Section, Table, counted, listed
from fmrifm.report.outliers import FEWEST, MEASURES, outliers, worst
from fmrifm.report.provenance import DISCLAIMER
from fmrifm.report.quality_figures import by_site, carpet, coverage_map
from fmrifm.report.summary import cohort_banners

_CARPETS = 3
_LONG = 20
"""Rows beyond which a table is shown on demand."""
_HALF = 0.5
_NO_REGION = "no region"
_SPECTRA = ("unfiltered", "high-passed", "low-passed", "band-passed")


def store_page(store: Store, refused: pd.DataFrame | None) -> Page:
    """Put together the quality page of a store.

    Args:
        store: Of its signals only those of the worst scans are read.
        refused: Scans that `prepare` refused, with path and reason; None when that is not known.
    """
    scans = store.scans.assign(site=store.scans["site"].fillna("unknown"))
    found = outliers(scans)
    return Page(
        title=store.name,
        about=["the quality of a store's scans"],
        banners=cohort_banners(synthetic=store.synthetic, approximate=store.atlas.name == APPROXIMATION),
        alarms=[*leakage_risks(store.scans), *_mixed_spectra(scans)],
        summary=_summary(scans, found, refused),
        sections=[
            cohort_section(scans, title="Cohort", target="dx", about=_about(store.atlas)),
            _coverage(store, scans),
            _measures(scans),
            _outliers(found),
            _carpets(store, found),
            _spectra(scans),
            _refused(refused),
            _preparation(store),
        ],
    )


def _summary(scans: pd.DataFrame, found: pd.DataFrame, refused: pd.DataFrame | None) -> list[str]:
    refusals = "not known" if refused is None else str(len(refused))
    return [
        f"{counted(len(scans), 'scan')} in the store; refused: {refusals}.",
        f"Scans that stand out of their site by some measure: {found['scan'].nunique()}.",
    ]


def _about(atlas: Atlas) -> dict[str, object]:
    names = atlas.regions.set_index("index")["name"].astype(str)
    return {
        "atlas": atlas.name,
        "regions": len(names) - len(atlas.lost),
        "rescued": names[list(atlas.rescued)].tolist(),
        "lost": names[list(atlas.lost)].tolist(),
    }


def _coverage(store: Store, scans: pd.DataFrame) -> Section:
    title = "Coverage"
    if "region_coverage" not in store.attributes["scans"]:
        return Section(title=title, sentences=["How much of each region the scans cover is not known in this store."])
    share = store.region_coverage.set_axis(scans.index)
    regions = store.atlas.regions.set_index("index").loc[share.columns]
    voxels = np.bincount(store.atlas.labels)[share.columns]
    covered = (share * voxels).T.groupby(regions["system"].astype(str)).sum().T
    size = pd.Series(voxels, index=share.columns).groupby(regions["system"].astype(str)).sum()
    mostly_bare = (share < _HALF).groupby(scans["site"]).mean() > _HALF
    bare = {str(site): regions["name"][row].tolist() for site, row in mostly_bare.iterrows() if row.any()}
    rows = [[site, str(len(names)), listed(names)] for site, names in bare.items()]
    caption = "Regions less than half covered in more than half of a site's scans."
    return Section(
        title=title,
        sentences=[] if bare else ["At no site is a region less than half covered in more than half of the scans."],
        pictures=[coverage_map((covered / size).groupby(scans["site"]).mean())],
        tables=[Table(caption=caption, columns=["site", "regions", "names"], rows=rows)] if rows else [],
    )


def _measures(scans: pd.DataFrame) -> Section:
    pictures, sentences = [], []
    for measure in MEASURES:
        values = measure.values(scans)
        if (known := int(values.notna().sum())) > 0:
            pictures.append(by_site(values, scans["site"], measure))
        if known < len(scans):
            of = "of no scan" if known == 0 else f"of {known} of {counted(len(scans), 'scan')} only"
            sentences.append(f"The {measure.name} is known {of}.")
    return Section(
        title="Measures by site",
        sentences=[
            "Taken before cleaning. Boxes hold the middle half, whiskers end at the last scan within Tukey's fences "
            f"(1.5 box lengths), diamonds lie beyond; sites with fewer than {FEWEST} scans show each as a dot.",
            *sentences,
        ],
        pictures=pictures,
    )


def _outliers(found: pd.DataFrame) -> Section:
    sentence = (
        "Values beyond the fence of their own site, on the side that is a fault. A scan that stands out is not "
        "necessarily bad, and nothing was left out because of it."
    )
    if found.empty:
        return Section(title="Outliers", sentences=["No scan stands out of its site by any known measure."])
    named = ["scan", "subject", "site", "measure"]
    rows = [
        list(map(str, row))
        for row in found.sort_values(["site", "scan"], kind="stable")[[*named, "value_text", "fence_text"]].to_numpy()
    ]
    caption = f"{counted(len(rows), 'value')} of {counted(found['scan'].nunique(), 'scan')} beyond a fence."
    return Section(
        title="Outliers",
        sentences=[sentence],
        tables=[Table(caption=caption, columns=[*named, "value", "fence"], rows=rows, folded=len(rows) > _LONG)],
    )


def _carpets(store: Store, found: pd.DataFrame) -> Section:
    scans = worst(found, _CARPETS)
    sentence = "Those that stand out by the most measures, of equals the furthest out. Voxels are sorted by system."
    return Section(
        title="Worst scans",
        sentences=[sentence if scans else "No scan stands out, so none is drawn."],
        pictures=[_carpet(store, scan, found[found["scan"] == scan]) for scan in scans],
    )


def _carpet(store: Store, scan: str, found: pd.DataFrame) -> Picture:
    order, systems = _by_system(store.atlas)
    order = order[store.covered(scan)[order]]
    reasons = [f"{name} {value}" for name, value in zip(found["measure"], found["value_text"], strict=True)]
    return carpet(store.window(scan)[:, order], systems[order], scan, listed(reasons))


def _by_system(atlas: Atlas) -> tuple[NDArray[np.intp], NDArray[np.str_]]:
    """Voxels in the order of systems, then regions, those without a region last; and the system of each voxel."""
    of_value = dict(zip(atlas.regions["index"], atlas.regions["system"].astype(str), strict=True))
    systems = np.array([of_value.get(value, _NO_REGION) for value in atlas.labels])
    return np.lexsort((atlas.labels, systems, systems == _NO_REGION)), systems


def _mixed_spectra(scans: pd.DataFrame) -> list[str]:
    counts = scans["spectrum"].value_counts() if "spectrum" in scans else pd.Series(dtype=int)
    if len(counts) < 2:
        return []
    classes = listed([f"{number_of} {name}" for name, number_of in counts.items()])
    return [
        f"The scans came filtered in different ways: {classes}. A model can tell such scans apart without reading "
        "the brain; clean them with one pass band (cleaning.high_pass_hz and cleaning.low_pass_hz)."
    ]


def _spectra(scans: pd.DataFrame) -> Section:
    if "spectrum" not in scans:
        return Section(title="Filtering", sentences=["Whether the scans came filtered is not known in this store."])
    counts = pd.crosstab(scans["site"], scans["spectrum"].fillna("not known"))
    counts = counts.reindex(columns=[name for name in (*_SPECTRA, "not known") if name in counts])
    rows = [[str(site), *map(str, row)] for site, row in zip(counts.index, counts.to_numpy(), strict=True)]
    caption = "Scans by site and by what their spectrum says of filters before this store's own cleaning."
    return Section(title="Filtering", tables=[Table(caption=caption, columns=["site", *counts.columns], rows=rows)])


def _refused(refused: pd.DataFrame | None) -> Section:
    title = "Refused scans"
    if refused is None:
        return Section(title=title, sentences=["No quarantine.tsv lies beside the store: refusals are not known."])
    if refused.empty:
        return Section(title=title, sentences=["No scan was refused."])
    rows = [[str(path), str(reason)] for path, reason in zip(refused["path"], refused["reason"], strict=True)]
    caption = f"{counted(len(rows), 'file')} refused, from quarantine.tsv."
    return Section(
        title=title, tables=[Table(caption=caption, columns=["path", "reason"], rows=rows, folded=len(rows) > _LONG)]
    )


def _preparation(store: Store) -> Section:
    settings = json.dumps(store.attributes["settings"], indent=2)
    facts = {
        "store": str(store.path),
        "fingerprint": store.fingerprint,
        "encoding": str(store.attributes["encoding"]),
        "grid": f"{' x '.join(map(str, store.grid.shape))} voxels of {max(store.grid.spacing_mm):g} mm",
        "atlas": f"{store.atlas.name}, from {store.atlas.origin}",
    }
    return Section(
        title="Preparation",
        sentences=[DISCLAIMER],
        tables=[Table(caption="The store.", columns=["what", "value"], rows=[list(fact) for fact in facts.items()])],
        codes=[Code(caption="Settings of prepare, cleaning among them", text=settings)],
    )
