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
Seen = Literal["keep", "exclude"]
Threshold = Literal["half", "inner"]
Harmonisation = Literal["none", "combat", "site_zscore"]
"""How sites are taken out of features: not at all, by ComBat, or by the z-score within each site."""
Baseline = Literal[
    "majority", "site", "phenotype", "motion", "connectome", "connectome_partial", "connectome_tangent",
    "untrained", "scratch",
]  # fmt: skip


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

    splits: str = "kfold"
    """`kfold` by subject, stratified by site and label; leave one `site` out; or a table with columns subject, fold
    and, for several rounds, repeat."""
    folds: int = 5
    """Folds of `kfold`."""
    repeats: int = 1
    """Rounds of `kfold`, each shuffled anew."""
    seed: int = 0
    """Seed of the shuffles."""

    def __post_init__(self) -> None:
        _check(self.folds >= 2, "folds", self.folds, "at least 2 folds")
        _check(self.repeats >= 1, "repeats", self.repeats, "at least 1 round")
        alone = self.repeats == 1 or self.splits == "kfold"
        _check(alone, "repeats", self.repeats, f"1 with splits {self.splits}; only kfold is shuffled")


@dataclass(frozen=True, kw_only=True)
class ReadoutConfig(SplitConfig):
    """How a label is read from scan features; every choice is made on folds inside the training subjects."""

    target: str = "dx"
    """Column of the scan table that holds the label, whole numbers from 0; scans without one are left out, counted."""
    pooling: PoolingKind = "connectivity"
    """Scan features: `connectivity` of regions, the `mean` over tokens and time, or a learned `attention` to them."""
    connectivity: Connectivity = "correlation"
    """Form of connectivity: Fisher-z `correlation`, its `log_euclidean` form, or `tangent` at the training mean."""
    penalty: tuple[float, ...] = (1.0,)
    """Strength of the linear classifier's L2 penalty, as a multiple of the number of features; of several the inner
    folds choose."""
    threshold: Threshold = "half"
    """Probability from which label 1 is called: one `half` (classes weigh the same), or the one that `inner` folds
    find best for balanced accuracy."""
    inner_folds: int = 5
    """Folds inside the training subjects, where something is chosen; of trained networks the first one stops them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        positive = bool(self.penalty) and min(self.penalty) > 0
        _check(positive, "penalty", list(self.penalty), "one or more positive strengths")
        _check(self.inner_folds >= 2, "inner_folds", self.inner_folds, "at least 2 folds")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(ReadoutConfig):
    """Fit a classifier on a pretrained encoder, one fold at a time, and predict the subjects it never saw."""

    store: str
    """Store with labelled scans."""
    checkpoint: str
    """Run folder of `fmrifm pretrain`, or one of its checkpoints."""
    out: str
    """Run folder to write."""
    seen: Seen = "keep"
    """Test subjects that the encoder was pretrained on: `keep` them and say so in red, or `exclude` them."""
    encoder: EncoderMode = "frozen"
    """`frozen` leaves the encoder as it is, `full` trains all of it, `lora` low-rank changes of its attention."""
    lora_rank: int = 8
    """Rank of those changes (Hu et al. 2022: 1 to 64, little difference)."""
    epochs: int = 20
    """Most passes over the training scans where the encoder or the pooling is trained by gradient."""
    patience: int = 3
    """Passes without a smaller loss on the first inner fold after which that stops; the best weights are kept."""
    lr: float | None = None
    """Peak learning rate of that; none is 1e-4 for the `full` encoder and 1e-3 where only new weights learn."""
    trainer: dict[str, Any] = field(default_factory=dict)
    """Options of lightning.Trainer for it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.lora_rank >= 1, "lora_rank", self.lora_rank, "at least 1")
        _check(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        _check(self.patience >= 1, "patience", self.patience, "at least 1")
        _check(self.lr is None or self.lr > 0, "lr", self.lr, "a positive learning rate, or none")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(FinetuneConfig):
    """Put the classifier beside its baselines on the same folds: the honest table.

    With a run folder of `fmrifm finetune` its held-out predictions and folds are used; with one
    of `fmrifm pretrain` the classifier is fitted here.
    """

    baselines: tuple[Baseline, ...] = get_args(Baseline)
    """What stands beside the classifier; all, unless you leave some out."""
    harmonise: Harmonisation = "none"
    """Take sites out of the features of frozen encoders and connectomes, by what the training scans of a fold tell:
    ComBat, or each site's mean and deviation."""
    bootstrap: int = 1000
    """Resamples of subjects behind each interval."""
    permutations: int = 200
    """Shuffles of the labels within sites behind the p-value of a frozen encoder's AUC; 0 leaves it out, and so does
    a choice of penalties, which each shuffle would have to repeat."""

    def __post_init__(self) -> None:
        super().__post_init__()
        trained = self.encoder != "frozen" or self.pooling == "attention"
        fits = self.harmonise == "none" or not trained
        _check(fits, "harmonise", self.harmonise, "none where encoder or pooling are trained by gradient")
        _check(self.bootstrap >= 1, "bootstrap", self.bootstrap, "at least 1 resample")
        _check(self.permutations >= 0, "permutations", self.permutations, "0 or more shuffles")


@dataclass(frozen=True, kw_only=True)
class CompareConfig(ReadoutConfig):
    """Try masking strategies against each other: pretrain, reconstruct and classify in every fold, equal in all else.

    Each seed shuffles the folds anew and draws other weights and masks, the same for all strategies. In each fold the
    model is pretrained on all scans but those of the subjects to be tested. A trial that was interrupted goes on.
    """

    store: str
    """Store with labelled scans; those without a label are pretrained on as well."""
    out: str
    """Run folder to write."""
    maskers: tuple[MaskKind, ...] = ("random", "tube", "region", "parcels")
    """Strategies; the differences are to the first."""
    repeats: int = 3
    """Seeds: rounds of folds, each with weights and masks of its own."""
    steps: int = 750
    """Updates of each pretraining."""
    tokens: TokensConfig = field(default_factory=TokensConfig)
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    data: DataConfig = field(default_factory=DataConfig)
    factors: dict[str, list[Any]] = field(default_factory=dict)
    """Further settings to try in every combination, e.g. {masking.ratio: [0.5, 0.75], tokens.edge_voxels: [3, 5]}."""
    jobs: int = 1
    """Processes that work on cells side by side; on GPUs one each."""
    shard: str = "1/1"
    """Which part of the cells to do, e.g. 3/20 in a SLURM array; a last call without it makes the tables."""
    bootstrap: int = 1000
    """Resamples of subjects behind each interval."""
    trainer: dict[str, Any] = field(default_factory=dict)
    """Options of lightning.Trainer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(len(set(self.maskers)) >= 2, "maskers", list(self.maskers), "at least two strategies")
        _check(self.pooling != "attention", "pooling", self.pooling, "connectivity or mean, which need no training")
        _check(self.steps >= 1, "steps", self.steps, "at least 1 update")
        _check(self.jobs >= 1, "jobs", self.jobs, "at least 1 process")
        part = self.shard.split("/")
        whole = len(part) == 2 and all(number.isdecimal() for number in part) and 1 <= int(part[0]) <= int(part[1])
        _check(whole, "shard", self.shard, "PART/PARTS, e.g. 3/20")
        named = all(isinstance(levels, list) and levels for levels in self.factors.values())
        _check(named, "factors", self.factors, "lists of values by the name of a setting")


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
