"""Settings of `embed`."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from fmrifm.config.checks import check
from fmrifm.config.classify import Connectivity

EmbedPooling = Literal["connectivity", "mean"]


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Turn scans of any grid and repetition time in MNI space into features of a pretrained encoder."""

    checkpoint: str
    """Run folder of `fmrifm pretrain`, one of its checkpoints, or owner/name on the Hugging Face hub."""
    scans: tuple[str, ...] = ()
    """4D NIfTI files, or paths with wildcards in quotes."""
    out: str
    """Table to write, one row a scan: .parquet, or .tsv."""
    pooling: EmbedPooling = "connectivity"
    """Features: `connectivity` of regions, or the `mean` over tokens and time."""
    connectivity: Connectivity = "correlation"
    """Form of connectivity; `tangent` is taken at the mean of these scans."""
    device: str = "auto"
    """Where the encoder runs, as PyTorch names it; auto takes a GPU if there is one."""

    def __post_init__(self) -> None:
        check(bool(self.scans), "scans", "none", "at least one 4D NIfTI file")
        ending = PurePath(self.out).suffix
        check(ending in (".parquet", ".tsv"), "out", self.out, "a name that ends in .parquet or .tsv")
