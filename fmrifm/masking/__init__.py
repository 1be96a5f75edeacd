"""Masking strategies: which tokens the encoder does not see."""

from fmrifm.masking.base import Masker, Pool, hidden_share
from fmrifm.masking.random import RandomMasker
from fmrifm.masking.region import RegionMasker
from fmrifm.masking.tube import TubeMasker

MASKERS: dict[str, type[Masker]] = {"random": RandomMasker, "tube": TubeMasker, "region": RegionMasker}

__all__ = ["MASKERS", "Masker", "Pool", "RandomMasker", "RegionMasker", "TubeMasker", "hidden_share"]
