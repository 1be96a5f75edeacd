"""Settings of every stage: frozen, keyword-only dataclasses that recipes and options fill.

A field is followed by its meaning and unit; `__post_init__` refuses what cannot work. One
dataclass a command (`PrepareConfig`, `PretrainConfig`, ...), built from the smaller ones.
"""

from fmrifm.config.cerebellum import (
    CerebellumConfig,
    CircuitTask,
)
from fmrifm.config.classify import (
    LEARNED,
    Baseline,
    Connectivity,
    Credit,
    EncoderMode,
    EvaluateConfig,
    FinetuneConfig,
    Harmonisation,
    PoolingKind,
    ReadoutConfig,
    Seen,
    SplitConfig,
    Threshold,
)
from fmrifm.config.compare import (
    CompareConfig,
)
from fmrifm.config.embed import (
    EmbedConfig,
    EmbedPooling,
)
from fmrifm.config.outputs import (
    AttributeConfig,
    DemoConfig,
    InfoConfig,
    Method,
    PathStart,
    ReportConfig,
)
from fmrifm.config.predict import (
    Circuit,
    PredictConfig,
)
from fmrifm.config.prepare import (
    AtlasConfig,
    CleaningConfig,
    Encoding,
    PrepareConfig,
    Source,
)
from fmrifm.config.pretrain import (
    DataConfig,
    LossConfig,
    MaskingConfig,
    MaskKind,
    ModelConfig,
    NetworkConfig,
    Objective,
    OptimConfig,
    PretrainConfig,
    Resident,
    Rule,
    TokenKind,
    TokensConfig,
    Tracker,
    TrackingConfig,
)

__all__ = [
    "LEARNED",
    "AtlasConfig",
    "AttributeConfig",
    "Baseline",
    "CerebellumConfig",
    "Circuit",
    "CircuitTask",
    "CleaningConfig",
    "CompareConfig",
    "Connectivity",
    "Credit",
    "DataConfig",
    "DemoConfig",
    "EmbedConfig",
    "EmbedPooling",
    "EncoderMode",
    "Encoding",
    "EvaluateConfig",
    "FinetuneConfig",
    "Harmonisation",
    "InfoConfig",
    "LossConfig",
    "MaskKind",
    "MaskingConfig",
    "Method",
    "ModelConfig",
    "NetworkConfig",
    "Objective",
    "OptimConfig",
    "PathStart",
    "PoolingKind",
    "PredictConfig",
    "PrepareConfig",
    "PretrainConfig",
    "ReadoutConfig",
    "ReportConfig",
    "Resident",
    "Rule",
    "Seen",
    "Source",
    "SplitConfig",
    "Threshold",
    "TokenKind",
    "TokensConfig",
    "Tracker",
    "TrackingConfig",
]
