"""Masking strategies: which tokens the encoder does not see."""

from dataclasses import replace

from fmrifm.config import MaskingConfig
from fmrifm.masking.adaptive import AdaptiveMasker
from fmrifm.masking.base import Masker, Pool, hidden_share, hide_regions
from fmrifm.masking.future import FutureMasker
from fmrifm.masking.mix import MixMasker
from fmrifm.masking.parcels import ParcelMasker
from fmrifm.masking.random import RandomMasker
from fmrifm.masking.region import RegionMasker
from fmrifm.masking.system import SystemMasker
from fmrifm.masking.tube import TubeMasker

MASKERS: dict[str, type[Masker]] = {
    "random": RandomMasker,
    "tube": TubeMasker,
    "region": RegionMasker,
    "system": SystemMasker,
    "parcels": ParcelMasker,
    "future": FutureMasker,
    "adaptive": AdaptiveMasker,
}
"""Every strategy but the mix of them."""


def masker_for(pool: Pool, config: MaskingConfig) -> Masker:
    """Build the strategy that the settings name over a pool, on the pool's device.

    Raises:
        ConfigError: The rule cannot hide the share.
    """
    pool = replace(pool, rule=config.rule)
    if config.kind == "mix":
        return MixMasker(pool, config.ratio, {MASKERS[kind]: weight for kind, weight in config.mix.items()})
    return MASKERS[config.kind](pool, config.ratio)


__all__ = ["MASKERS", "Masker", "MixMasker", "Pool", "hidden_share", "hide_regions", "masker_for"]
