"""Settings of `pretrain`: tokens, masks, model, losses, optimiser and data."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from fmrifm.config.checks import check

TokenKind = Literal["regions", "grid"]
MaskKind = Literal["random", "tube", "region", "system", "parcels", "future", "adaptive", "mix"]
Rule = Literal["majority", "any", "pure"]
Tracker = Literal["tensorboard", "wandb", "mlflow"]
Resident = Literal["auto", "always", "never"]
Objective = Literal["mask", "next", "mask+next"]


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
        check(self.edge_voxels >= 1, "tokens.edge_voxels", self.edge_voxels, "at least 1 voxel")
        check(self.grow_mm >= 0, "tokens.grow_mm", self.grow_mm, "0 mm or more")
        divides = self.patch_volumes >= 1 and self.window_volumes % self.patch_volumes == 0
        check(divides, "tokens.patch_volumes", self.patch_volumes, f"a divisor of the window, {self.window_volumes}")


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
        check(0 < self.ratio < 1, "masking.ratio", self.ratio, "a share between 0 and 1, e.g. 0.75")
        kinds = [kind for kind in get_args(MaskKind) if kind != "mix"]
        check(set(self.mix) <= set(kinds), "masking.mix", self.mix, f"weights of {', '.join(kinds)}")
        finite = all(0 < weight < float("inf") for weight in self.mix.values())
        check(bool(self.mix) and finite, "masking.mix", self.mix, "a positive weight for at least one strategy")


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
        check(self.heads >= 1 and self.width % self.heads == 0, "model.heads", self.heads, f"a divisor of {self.width}")
        check(self.layers >= 1 and self.decoder_layers >= 1, "model.layers", self.layers, "at least 1 of each kind")
        narrow = self.width if self.decoder_width is None else self.decoder_width
        fits = narrow >= 1 and narrow % self.heads == 0
        check(fits, "model.decoder_width", narrow, f"a positive multiple of model.heads, {self.heads}")
        check(self.components >= 0, "model.components", self.components, "0 or more components")
        check(self.queries >= 1, "model.queries", self.queries, "at least 1 token")


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
            check(0 <= weight < float("inf"), f"loss.{name}", weight, "0 or a positive weight")
        check(any(weights.values()), "loss", weights, "at least one positive weight")


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
    """Windows a step, over all devices; `trainer.accumulate_grad_batches` computes them in so many turns."""
    broken_steps: int = 10
    """Steps in a row that are left out because their gradient is no number; one more ends a pretraining."""

    def __post_init__(self) -> None:
        check(self.lr > 0, "optim.lr", self.lr, "a positive learning rate")
        check(0 <= self.warmup < 1, "optim.warmup", self.warmup, "a share of the steps below 1")
        check(self.batch_size >= 1, "optim.batch_size", self.batch_size, "at least 1 window")
        check(self.broken_steps >= 0, "optim.broken_steps", self.broken_steps, "0 or more steps")


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
        check(self.windows_per_scan >= 1, "data.windows_per_scan", self.windows_per_scan, "at least 1 window")
        check(self.workers >= 0, "data.workers", self.workers, "0 or more processes")


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Where the curves go, beside logs/metrics.csv."""

    loggers: tuple[Tracker, ...] = ("tensorboard",)
    """Any of `tensorboard`, `wandb` (Weights & Biases) and `mlflow`; the last two take accounts and servers from the
    environment, as their own tools do."""
    project: str = "fmrifm"
    """Project in W&B, experiment in MLflow; the run bears the name of its folder."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """What is pretrained, and on which task."""

    tokens: TokensConfig = field(default_factory=TokensConfig)
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    data: DataConfig = field(default_factory=DataConfig)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(NetworkConfig):
    """Pretrain the masked autoencoder on every scan of a store."""

    store: str
    """Store written by `fmrifm prepare`."""
    out: str
    """Run folder to write."""
    objective: Objective = "mask"
    """`mask`: reconstruct what is hidden; `next`: predict the first volumes of a window's last time patch from those
    before it; or both by one encoder, `mask+next`."""
    next_weight: float = 0.5
    """Weight of the prediction's mean squared error beside the losses of masked reconstruction."""
    validation: float = 0.1
    """Share of subjects held out, whole, to measure reconstruction."""
    seed: int = 0
    """Seed of weights, masks, windows and the validation split."""
    resume: bool = False
    """Go on from the last state in the run folder; a run interrupted before its first state begins again."""
    save_every: int = 100
    """Steps between two states that `resume` can go on from; one is saved after every epoch too."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    trainer: dict[str, Any] = field(default_factory=lambda: {"max_epochs": 20})
    """Options of lightning.Trainer, each reachable as --trainer.NAME."""

    def __post_init__(self) -> None:
        check(0 < self.validation < 1, "validation", self.validation, "a share of the subjects between 0 and 1")
        check(self.save_every >= 1, "save_every", self.save_every, "at least 1 step")
        positive = 0 < self.next_weight < float("inf")
        check(positive, "next_weight", self.next_weight, "a positive weight; objective mask leaves it out")
        past = self.tokens.window_volumes > self.tokens.patch_volumes or self.objective == "mask"
        within = f"less than the window, {self.tokens.window_volumes}, so that a time patch has a past"
        check(past, "tokens.patch_volumes", self.tokens.patch_volumes, within)
