"""Settings of `finetune` and `evaluate`: folds, how a label is read from features, what stands beside it."""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from fmrifm.config.checks import check

EncoderMode = Literal["frozen", "full", "lora"]
PoolingKind = Literal["connectivity", "mean", "attention", "recurrent"]
LEARNED: tuple[PoolingKind, ...] = ("attention", "recurrent")
"""Poolings that are trained by gradient, whatever the encoder does."""
Credit = Literal["full", "gradcache", "tbptt", "tbptt_dense", "tbptt_sg"]
"""Ways in which a recurrent head learns from a label at the end of a scan."""
Connectivity = Literal["correlation", "tangent", "log_euclidean"]
Seen = Literal["keep", "exclude"]
Threshold = Literal["half", "inner"]
Harmonisation = Literal["none", "combat", "site_zscore"]
"""How sites are taken out of features: not at all, by ComBat, or by the z-score within each site."""
Baseline = Literal[
    "majority", "site", "phenotype", "motion", "connectome", "connectome_partial", "connectome_tangent",
    "untrained", "scratch",
]  # fmt: skip


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
        check(self.folds >= 2, "folds", self.folds, "at least 2 folds")
        check(self.repeats >= 1, "repeats", self.repeats, "at least 1 round")
        alone = self.repeats == 1 or self.splits == "kfold"
        check(alone, "repeats", self.repeats, f"1 with splits {self.splits}; only kfold is shuffled")


@dataclass(frozen=True, kw_only=True)
class ReadoutConfig(SplitConfig):
    """How a label is read from scan features; every choice is made on folds inside the training subjects."""

    target: str = "dx"
    """Column of the scan table that holds the label, whole numbers from 0; scans without one are left out, counted."""
    pooling: PoolingKind = "connectivity"
    """Scan features: `connectivity` of regions, the `mean` over tokens and time, a learned `attention` to them, or the
    end of a `recurrent` network over the connectomes of successive windows."""
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
        check(positive, "penalty", list(self.penalty), "one or more positive strengths")
        check(self.inner_folds >= 2, "inner_folds", self.inner_folds, "at least 2 folds")


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
    credit: Credit = "gradcache"
    """How `recurrent` pooling learns: by gradient caching (`gradcache`: exact, its memory does not grow with the scan),
    by the `full` graph, or truncated: as it is (`tbptt`), with the label at each stretch's end (`tbptt_dense`), with a
    synthetic gradient (`tbptt_sg`)."""
    horizon: int = 4
    """Windows whose graph is kept at a time, but for `full`."""
    trainer: dict[str, Any] = field(default_factory=dict)
    """Options of lightning.Trainer for it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.lora_rank >= 1, "lora_rank", self.lora_rank, "at least 1")
        check(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        check(self.patience >= 1, "patience", self.patience, "at least 1")
        check(self.lr is None or self.lr > 0, "lr", self.lr, "a positive learning rate, or none")
        check(self.horizon >= 1, "horizon", self.horizon, "at least 1 window")
        if self.pooling == "recurrent":
            self._check_trainer()
        else:
            check(self.credit == "gradcache", "credit", self.credit, "gradcache; only recurrent pooling takes others")

    @property
    def by_gradient(self) -> bool:
        """Whether more than the linear classifier is trained."""
        return self.encoder != "frozen" or self.pooling in LEARNED

    def _check_trainer(self) -> None:
        """What Lightning cannot do where a step takes several backward passes of its own."""
        names = ("gradient_clip_val", "accumulate_grad_batches", "precision")
        clip, accumulated, precision = (self.trainer.get(name) for name in names)
        check(clip is None, "trainer.gradient_clip_val", clip, "none with recurrent pooling")
        check(accumulated in (None, 1), "trainer.accumulate_grad_batches", accumulated, "1 with recurrent pooling")
        fits = precision not in (16, "16", "16-mixed")
        check(fits, "trainer.precision", precision, "32-true or bf16-mixed with recurrent pooling")


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
        fits = self.harmonise == "none" or not self.by_gradient
        check(fits, "harmonise", self.harmonise, "none where encoder or pooling are trained by gradient")
        check(self.bootstrap >= 1, "bootstrap", self.bootstrap, "at least 1 resample")
        check(self.permutations >= 0, "permutations", self.permutations, "0 or more shuffles")
