"""Settings of `attribute`, `report`, `info` and `demo`."""

from dataclasses import dataclass, field
from typing import Literal

from fmrifm.config.checks import check
from fmrifm.config.prepare import AtlasConfig

Method = Literal["fidelity", "occlusion"]


@dataclass(frozen=True, kw_only=True)
class AttributeConfig:
    """Say which regions mattered: to reconstruction (fidelity) and to the classifier (occlusion)."""

    store: str
    """Store whose scans are explained."""
    checkpoint: str
    """Run folder of `fmrifm finetune` (both methods) or of `fmrifm pretrain` (fidelity alone)."""
    out: str
    """Run folder to write."""
    methods: tuple[Method, ...] = ("fidelity", "occlusion")
    """Methods to run, one block of regions.tsv each."""
    scans: int | None = None
    """Most scans to explain, drawn at random; none takes all."""
    windows_per_scan: int | None = None
    """Windows a scan, evenly spaced; none takes all that cover it."""
    bootstrap: int = 1000
    """Resamples of subjects behind each interval."""
    seed: int = 0
    """Seed of the draw and the resamples."""


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Draw one self-contained HTML page over one or more run folders, or over the quality of a store's scans."""

    run: tuple[str, ...] = ()
    """Run folders; give --run again for each further one."""
    store: str | None = None
    """Store written by `fmrifm prepare`, instead of run folders."""
    out: str
    """Page to write, e.g. report.html."""

    def __post_init__(self) -> None:
        given = " and ".join(name for name in ("run", "store") if getattr(self, name))
        check(given in ("run", "store"), "what to report on", given or "not given", "either --run or --store")


@dataclass(frozen=True, kw_only=True)
class InfoConfig:
    """Say what a scan, store, run folder or checkpoint contains."""

    path: str
    """File, folder, or URL of a store, to look at."""
    verify: bool = False
    """Compare every file of a store with its checksums; exit code 2 when one differs."""
    atlas: AtlasConfig = field(default_factory=AtlasConfig)


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Make the embedded synthetic cohort and run the whole chain on it, offline."""

    out: str
    """Folder to write; the report is OUT/report.html."""
    seed: int = 0
    """Seed of the cohort and of every stage."""
