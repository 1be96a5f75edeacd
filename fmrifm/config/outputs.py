"""Settings of `attribute`, `report`, `info` and `demo`."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from fmrifm.config.checks import check
from fmrifm.config.prepare import AtlasConfig

Method = Literal["fidelity", "occlusion", "gradients", "rollout", "connectome"]
PathStart = Literal["mean", "subject"]


@dataclass(frozen=True, kw_only=True)
class AttributeConfig:
    """Say which regions mattered: to reconstruction, to the classifier and to the connectome beside it."""

    store: str
    """Store whose scans are explained."""
    checkpoint: str
    """Run folder of `fmrifm finetune`, or of `fmrifm pretrain` for fidelity alone."""
    out: str
    """Run folder to write."""
    methods: tuple[Method, ...] = get_args(Method)
    """`fidelity` (how well a hidden region is predicted, and what it gives to others), `occlusion` of the classifier,
    `gradients` (integrated, and times input), attention `rollout`, and the read-out of the `connectome` baseline."""
    scans: int | None = None
    """Most scans to explain, drawn at random; none takes all."""
    windows_per_scan: int | None = None
    """Windows a scan, evenly spaced; none takes all that cover it."""
    groups: int = 8
    """Groups of regions that fidelity hides in turn; as many as regions hides one at a time, at nine times the cost."""
    deals: int = 2
    """How often fidelity deals the regions of a scan into groups; more tell contributions more exactly."""
    start: PathStart = "mean"
    """Where the path of integrated gradients starts: each voxel's temporal `mean`, or a scan of another `subject`."""
    check_scans: int = 24
    """Most scans on which the methods are repeated with random weights and shuffled labels."""
    bootstrap: int = 1000
    """Resamples of subjects behind each interval."""
    permutations: int = 10_000
    """Shuffles of labels within sites behind the p-value of each region's difference between labels."""
    seed: int = 0
    """Seed of all draws."""
    resume: bool = False
    """Go on with a run that was interrupted; what was computed for a scan is kept."""

    def __post_init__(self) -> None:
        check(bool(self.methods), "methods", list(self.methods), "at least one method")
        for name in ("groups", "check_scans"):
            check(getattr(self, name) >= 2, name, getattr(self, name), "at least 2")
        for name in ("deals", "bootstrap", "permutations"):
            check(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("scans", "windows_per_scan"):
            value = getattr(self, name)
            check(value is None or value >= 1, name, value, "at least 1, or none for all")


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Draw one self-contained HTML page over one or more run folders, or over the quality of a store's scans."""

    run: tuple[str, ...] = ()
    """Run folders; give --run again for each further one."""
    store: str | None = None
    """Store written by `fmrifm prepare`, instead of run folders."""
    out: str
    """Page to write, e.g. report.html."""
    figures: str | None = None
    """Folder for every figure of the page as SVG and as PNG (300 dpi), in print colours; none saves none."""

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
