"""Settings of every stage: frozen, keyword-only dataclasses that recipes and options fill.

A field is followed by its meaning and unit; `__post_init__` refuses what cannot work. One
dataclass a command (`PrepareConfig`, `PretrainConfig`, ...), built from the smaller ones.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from fmrifm.errors import ConfigError

Source = Literal["athena", "fmriprep", "nilearn", "table"]
Encoding = Literal["float16", "int8"]
TokenKind = Literal["regions", "grid"]
MaskKind = Literal["random", "tube", "region", "system", "parcels", "future", "adaptive", "mix"]
EncoderMode = Literal["frozen", "full", "lora"]
PoolingKind = Literal["connectivity", "mean", "attention"]
Connectivity = Literal["correlation", "tangent", "log_euclidean"]
Rule = Literal["majority", "any", "pure"]
Method = Literal["fidelity", "occlusion"]
Resident = Literal["auto", "always", "never"]


def _check(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"{name} is {value}; expected {expected}.")


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
            _check(value is None or value > 0, f"cleaning.{name}", value, "a positive number, or none")
        low, high = self.high_pass_hz or 0, self.low_pass_hz or float("inf")
        _check(low < high, "cleaning.high_pass_hz", low, f"less than cleaning.low_pass_hz, {high}")


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
        _check(1 <= self.spacing_mm <= 12, "spacing_mm", self.spacing_mm, "a voxel size between 1 and 12 mm")
        _check(0 <= self.min_coverage <= 1, "min_coverage", self.min_coverage, "a share between 0 and 1")
        _check(self.min_volumes >= 2, "min_volumes", self.min_volumes, "at least 2 volumes")
        _check(0 <= self.max_nonfinite <= 1, "max_nonfinite", self.max_nonfinite, "a share between 0 and 1")
        _check(self.max_gib > 0, "max_gib", self.max_gib, "a positive number of GiB")
        _check(self.n_subjects is None or self.n_subjects >= 1, "n_subjects", self.n_subjects, "at least 1, or none")
        dask = self.cluster is None or self.cluster.startswith("dask://")
        _check(dask, "cluster", self.cluster, "dask://HOST:PORT of a Dask scheduler")
        _check(self.jobs >= 1, "jobs", self.jobs, "at least 1 process")


@dataclass(frozen=True, kw_only=True)
class TokensConfig:
    """How a window is cut into tokens."""

    kind: TokenKind = "regions"
    """`regions`: compact chunks that each lie in one region; `grid`: cubic patches, whatever regions they hold."""
    edge_voxels: int = 3
    """p: a chunk has at most p^3 voxels, a patch is p voxels wide."""
    window_volumes: int = 24
    """Volumes in a window."""
    patch_volumes: int = 12
    """pt: volumes in a token; must divide the window."""
    grow_mm: float = 4.0
    """Regions grow this far into unlabelled brain, in mm; what is further away is left out and counted."""

    def __post_init__(self) -> None:
        _check(self.edge_voxels >= 1, "tokens.edge_voxels", self.edge_voxels, "at least 1 voxel")
        _check(self.grow_mm >= 0, "tokens.grow_mm", self.grow_mm, "0 mm or more")
        divides = self.patch_volumes >= 1 and self.window_volumes % self.patch_volumes == 0
        _check(divides, "tokens.patch_volumes", self.patch_volumes, f"a divisor of the window, {self.window_volumes}")


@dataclass(frozen=True, kw_only=True)
class MaskingConfig:
    """Which tokens the encoder does not see."""

    kind: MaskKind = "region"
    """`random` tokens, `tube` (the same chunks at all times), `region` or `system` (whole ones), `parcels` (random,
    contiguous, as large as regions), `future` (the end), `adaptive` (regions by their error), or a `mix` of these."""
    ratio: float = 0.75
    """Share of the pool's voxels hidden, strictly between 0 and 1 (He et al. 2022: 0.75)."""
    rule: Rule = "majority"
    """Grid tokens alone: a patch is hidden with the region of most of its voxels (`majority`), with `any` of its
    regions, or only if it lies wholly in one (`pure`)."""
    mix: dict[str, float] = field(default_factory=lambda: {"random": 1.0, "region": 1.0})
    """How often `mix` draws each strategy for a window, as weights."""

    def __post_init__(self) -> None:
        _check(0 < self.ratio < 1, "masking.ratio", self.ratio, "a share between 0 and 1, e.g. 0.75")
        kinds = [kind for kind in get_args(MaskKind) if kind != "mix"]
        _check(set(self.mix) <= set(kinds), "masking.mix", self.mix, f"weights of {', '.join(kinds)}")
        finite = all(0 < weight < float("inf") for weight in self.mix.values())
        _check(bool(self.mix) and finite, "masking.mix", self.mix, "a positive weight for at least one strategy")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Size of the masked autoencoder."""

    width: int = 192
    """Channels of a token."""
    layers: int = 4
    """Encoder blocks."""
    heads: int = 6
    """Attention heads; must divide the width."""
    decoder_layers: int = 1
    """Cross-attention blocks of the decoder."""
    decoder_width: int | None = None
    """Channels of a token in the decoder; none takes the encoder's width."""
    components: int = 200
    """Principal components of the training scans whose conditional mean the decoder starts from; 0 starts without."""
    queries: int = 256
    """Hidden tokens that the decoder predicts in a training step, drawn anew each time."""
    compile: bool = False
    """Compile the blocks while pretraining (torch.compile); where that fails they run as they are."""
    checkpointing: bool = False
    """Keep each encoder block's input alone and compute it again for the gradient: less memory, a third more time."""

    def __post_init__(self) -> None:
        _check(
            self.heads >= 1 and self.width % self.heads == 0, "model.heads", self.heads, f"a divisor of {self.width}"
        )
        _check(self.layers >= 1 and self.decoder_layers >= 1, "model.layers", self.layers, "at least 1 of each kind")
        narrow = self.width if self.decoder_width is None else self.decoder_width
        fits = narrow >= 1 and narrow % self.heads == 0
        _check(fits, "model.decoder_width", narrow, f"a positive multiple of model.heads, {self.heads}")
        _check(self.components >= 0, "model.components", self.components, "0 or more components")
        _check(self.queries >= 1, "model.queries", self.queries, "at least 1 token")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What pretraining minimises: a sum of losses by weight; one of weight 0 is not computed."""

    voxel: float = 1.0
    """Weight of the mean squared error of hidden voxels (He et al. 2022)."""
    region: float = 0.0
    """Weight of the same error with every region weighing alike, however many voxels it has."""
    connectivity: float = 0.0
    """Weight of the mean squared difference between the region-by-region correlations of reconstruction and scan."""

    def __post_init__(self) -> None:
        weights = asdict(self)
        for name, weight in weights.items():
            _check(0 <= weight < float("inf"), f"loss.{name}", weight, "0 or a positive weight")
        _check(any(weights.values()), "loss", weights, "at least one positive weight")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW with linear warm-up and cosine decay."""

    lr: float = 1e-3
    """Peak learning rate."""
    weight_decay: float = 0.05
    """Decoupled weight decay (He et al. 2022: 0.05); biases and norms are exempt."""
    warmup: float = 0.1
    """Share of all steps over which the learning rate rises."""
    batch_size: int = 8
    """Windows a step on one device."""

    def __post_init__(self) -> None:
        _check(self.lr > 0, "optim.lr", self.lr, "a positive learning rate")
        _check(0 <= self.warmup < 1, "optim.warmup", self.warmup, "a share of the steps below 1")
        _check(self.batch_size >= 1, "optim.batch_size", self.batch_size, "at least 1 window")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """How windows reach the model."""

    windows_per_scan: int = 4
    """Windows drawn from each scan in an epoch, at random starts."""
    workers: int = 0
    """Processes that read windows ahead; 0 reads in the training process."""
    resident: Resident = "auto"
    """Keep all scans in the device's memory: `auto` on a GPU where they take at most half of what is free."""

    def __post_init__(self) -> None:
        _check(self.windows_per_scan >= 1, "data.windows_per_scan", self.windows_per_scan, "at least 1 window")
        _check(self.workers >= 0, "data.workers", self.workers, "0 or more processes")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Pretrain the masked autoencoder on every scan of a store."""

    store: str
    """Store written by `fmrifm prepare`."""
    out: str
    """Run folder to write."""
    tokens: TokensConfig = field(default_factory=TokensConfig)
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    data: DataConfig = field(default_factory=DataConfig)
    validation: float = 0.1
    """Share of subjects held out, whole, to measure reconstruction."""
    seed: int = 0
    """Seed of weights, masks, windows and the validation split."""
    resume: bool = False
    """Go on from the last checkpoint in the run folder."""
    trainer: dict[str, Any] = field(default_factory=lambda: {"max_epochs": 20})
    """Options of lightning.Trainer, each reachable as --trainer.NAME."""

    def __post_init__(self) -> None:
        _check(0 < self.validation < 1, "validation", self.validation, "a share of the subjects between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """How subjects are divided for cross-validation."""

    splits: Literal["kfold", "site"] = "kfold"
    """`kfold` by subject, stratified by site and label, or leave one `site` out."""
    folds: int = 5
    """Folds of `kfold`."""
    seed: int = 0
    """Seed of the shuffle."""

    def __post_init__(self) -> None:
        _check(self.folds >= 2, "folds", self.folds, "at least 2 folds")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(SplitConfig):
    """Fit a classifier on a pretrained encoder, one fold at a time, and predict the subjects it never saw."""

    store: str
    """Store with labelled scans."""
    checkpoint: str
    """Run folder of `fmrifm pretrain`, or one of its checkpoints."""
    out: str
    """Run folder to write."""
    target: str = "dx"
    """Column of the scan table that holds the label, 0 or 1; scans without one are left out and counted."""
    encoder: EncoderMode = "frozen"
    """`frozen` leaves the encoder as it is, `full` trains all of it, `lora` low-rank changes of its attention."""
    lora_rank: int = 8
    """Rank of those changes (Hu et al. 2022: 1 to 64, little difference)."""
    pooling: PoolingKind = "connectivity"
    """Scan features: `connectivity` of regions, the `mean` over tokens and time, or a learned `attention` to them."""
    connectivity: Connectivity = "correlation"
    """Form of connectivity: Fisher-z `correlation`, its `log_euclidean` form, or `tangent` at the training mean."""
    penalty: float = 1.0
    """Strength of the L2 penalty of the linear classifier, as a multiple of the number of features."""
    epochs: int = 5
    """Passes over the training scans where the encoder or the pooling is trained by gradient."""
    lr: float | None = None
    """Peak learning rate of that; none is 1e-4 for the `full` encoder and 1e-3 where only new weights learn."""
    trainer: dict[str, Any] = field(default_factory=dict)
    """Options of lightning.Trainer for it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.penalty > 0, "penalty", self.penalty, "a positive strength")
        _check(self.lora_rank >= 1, "lora_rank", self.lora_rank, "at least 1")
        _check(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        _check(self.lr is None or self.lr > 0, "lr", self.lr, "a positive learning rate, or none")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(FinetuneConfig):
    """Put the classifier beside majority, phenotype, site and connectome baselines on the same folds.

    With a run folder of `fmrifm finetune` its held-out predictions and folds are used; with one
    of `fmrifm pretrain` the classifier is fitted here.
    """

    bootstrap: int = 1000
    """Resamples of subjects behind each interval."""


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
        _check(given in ("run", "store"), "what to report on", given or "not given", "either --run or --store")


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
