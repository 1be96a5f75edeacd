"""Settings of `prepare`: where scans are, how they are cleaned, on which grid and atlas they end."""

from dataclasses import dataclass, field
from typing import Literal

from fmrifm.config.checks import check

Source = Literal["athena", "fmriprep", "nilearn", "table"]
Encoding = Literal["float16", "int8"]


@dataclass(frozen=True, kw_only=True)
class AtlasConfig:
    """Which regions the voxels belong to."""

    path: str | None = None
    """AAL3 label image (NIfTI, MNI space). Without it nilearn's download of AAL3 (3v2) is used."""
    approximation: bool = False
    """Build an AAL3 approximation from region centroids and volumes instead; for synthetic data and trials only."""


@dataclass(frozen=True, kw_only=True)
class CleaningConfig:
    """What is removed from the voxel time courses before the z-score (nilearn.signal.clean)."""

    detrend: bool = False
    """Remove a linear trend per voxel."""
    high_pass_hz: float | None = None
    """Lower edge of the pass band in Hz; none leaves slow drifts in."""
    low_pass_hz: float | None = None
    """Upper edge of the pass band in Hz; none leaves fast signal in."""
    confounds: tuple[str, ...] = ()
    """Confound strategy by nilearn's names, e.g. [motion, wm_csf, scrub]; empty regresses nothing out."""
    smooth_fwhm_mm: float | None = None
    """Spatial smoothing, full width at half maximum in mm; none leaves the scan as sharp as the grid."""
    tr_s: float | None = None
    """Common repetition time in seconds that all scans are interpolated to (cubic splines); none keeps their own."""

    def __post_init__(self) -> None:
        for name in ("high_pass_hz", "low_pass_hz", "smooth_fwhm_mm", "tr_s"):
            value = getattr(self, name)
            check(value is None or value > 0, f"cleaning.{name}", value, "a positive number, or none")
        low, high = self.high_pass_hz or 0, self.low_pass_hz or float("inf")
        check(low < high, "cleaning.high_pass_hz", low, f"less than cleaning.low_pass_hz, {high}")


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Bring scans to one MNI grid and write the store that every later stage reads."""

    source: Source
    """ADHD-200's `athena` folders, BIDS derivatives of `fmriprep`, `nilearn`'s download (fetch_adhd), or a `table`."""
    root: str
    """Folder of the data set, the CSV or TSV file for `table`, or where to download for `nilearn`."""
    out: str
    """Store to write, e.g. adhd200.zarr; it must not exist. Killed and started again, prepare goes on."""
    append: bool = False
    """Add scans to a store that exists; those that it has are left alone."""
    keep: tuple[str, ...] = ()
    """Conditions on the scan table, e.g. [qc_rest=1, site!=NYU]; scans that fail one are listed as refused."""
    n_subjects: int | None = None
    """Take so many subjects only, for a trial; none takes all."""
    spacing_mm: float = 4.0
    """Voxel size of the grid in mm; 4 mm is the native grid of ADHD-200's Athena pipeline."""
    atlas: AtlasConfig = field(default_factory=AtlasConfig)
    cleaning: CleaningConfig = field(default_factory=CleaningConfig)
    min_coverage: float = 0.3
    """Share of the brain mask in which a scan must have signal; below it it is refused as not in MNI space."""
    min_volumes: int = 24
    """Shortest scan that is taken, in consecutive volumes; a window has 24."""
    max_nonfinite: float = 0.0
    """Share of the brain mask's voxels that may hold NaN or infinity; they then count as not covered."""
    max_gib: float = 8.0
    """Largest run that is read, in GiB of memory by its header; a larger one is refused before it is read."""
    encoding: Encoding = "float16"
    """How signal is kept: float16, or int8 with one scale per voxel (half the size, an error of .4 % of its range)."""
    jobs: int = 1
    """Processes that prepare scans side by side."""
    cluster: str | None = None
    """Dask scheduler that prepares them instead, e.g. dask://host:8786; its workers must see the same folders."""
    strict: bool = False
    """Fail, with exit code 2, when any scan is refused; what is done is kept, so that a later call goes on."""

    def __post_init__(self) -> None:
        check(1 <= self.spacing_mm <= 12, "spacing_mm", self.spacing_mm, "a voxel size between 1 and 12 mm")
        check(0 <= self.min_coverage <= 1, "min_coverage", self.min_coverage, "a share between 0 and 1")
        check(self.min_volumes >= 2, "min_volumes", self.min_volumes, "at least 2 volumes")
        check(0 <= self.max_nonfinite <= 1, "max_nonfinite", self.max_nonfinite, "a share between 0 and 1")
        check(self.max_gib > 0, "max_gib", self.max_gib, "a positive number of GiB")
        check(self.n_subjects is None or self.n_subjects >= 1, "n_subjects", self.n_subjects, "at least 1, or none")
        dask = self.cluster is None or self.cluster.startswith("dask://")
        check(dask, "cluster", self.cluster, "dask://HOST:PORT of a Dask scheduler")
        check(self.jobs >= 1, "jobs", self.jobs, "at least 1 process")
