"""Take sites out of features, by what the training scans of each site say.

Every kind is one line per site and feature, x -> scale * x + shift. It is fitted on training scans alone and knows
neither labels nor covariates: ComBat could be told to keep what the label explains, but would then ask for the labels
of test scans too. Where labels differ between sites, part of their effect therefore goes with the sites.

Axes: S scans, D features, G sites with a line of their own and, last, one line for all others.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from combatlearn import ComBat
from numpy.typing import NDArray

from fmrifm.config import Harmonisation

_FEWEST = 5
"""Training scans that a site needs for a line of its own: the deviation of 5 values is off by a third."""
_FLAT = 1e-6
"""Deviation within sites, as a share of the largest magnitude, up to which a feature is constant but for rounding."""


@dataclass(frozen=True, eq=False)
class Harmoniser:
    """What `fit_harmoniser` found: a line per site and feature."""

    sites: tuple[str, ...]
    """Sites with lines of their own, G - 1."""
    scale: NDArray[np.float64]
    """Shape (G, D)."""
    shift: NDArray[np.float64]
    """Shape (G, D)."""

    def transform(self, features_SD: NDArray[np.floating], site: pd.Series) -> NDArray[np.floating]:
        """Harmonise scans, of which only features and site are looked at; same shape and type.

        A site that training did not see, or saw too few scans of, gets the line that all sites share.
        """
        line = self._lines(site)
        return (self.scale[line] * features_SD + self.shift[line]).astype(features_SD.dtype)

    def pooled(self, site: pd.Series) -> NDArray[np.bool_]:
        """True for scans whose site has no line of its own, shape (S,): what remains of their site is not known."""
        return self._lines(site) == len(self.sites)

    def _lines(self, site: pd.Series) -> NDArray[np.intp]:
        lines = pd.Index(self.sites, dtype=object).get_indexer(pd.Index(site, dtype=object))
        return np.where(lines < 0, len(self.sites), lines)


def fit_harmoniser(kind: Harmonisation, features_SD: NDArray[np.floating], site: pd.Series) -> Harmoniser:
    """Fit on training scans.

    Args:
        kind: `combat` brings each site to the mean and deviation of all sites, with estimates that lean on the other
            sites' (empirical Bayes), and leaves sites without a line of their own as they are; `site_zscore` subtracts
            each site's mean and divides by its deviation, or by those of all training scans.
        features_SD: Features of training scans. One that is constant within sites is shifted only.
        site: Site of each; a missing one is without a line of its own.

    References:
        Johnson et al. 2007 (ComBat), doi:10.1093/biostatistics/kxj037; Yu et al. 2018 (on connectomes),
        doi:10.1002/hbm.24241; Marzi et al. 2024 (fitted on training folds), doi:10.1038/s41597-023-02421-7.
    """
    features, counts = features_SD.astype(np.float64), site.value_counts()
    sites = tuple(sorted(counts.index[counts >= _FEWEST]))
    rows = [(site == name).to_numpy() for name in sites]
    if kind == "none" or (kind == "combat" and len(sites) < 2):
        return Harmoniser((), np.ones((1, features.shape[1])), np.zeros((1, features.shape[1])))
    varies = _varies(features, rows)
    if kind == "site_zscore":
        return Harmoniser(sites, *_zscore(features, [*rows, np.ones(len(features), bool)], varies))
    return Harmoniser(sites, *_combat(features, rows, varies))


Lines = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Scale and shift, both (G, D)."""


def _varies(features: NDArray[np.float64], rows: list[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """True for features that vary within a site, (D,); within all scans where no site has enough."""
    within = np.max([features[row].std(axis=0) for row in rows or [np.ones(len(features), bool)]], axis=0)
    return np.asarray(within > _FLAT * np.abs(features).max(axis=0))


def _zscore(features: NDArray[np.float64], rows: list[NDArray[np.bool_]], varies: NDArray[np.bool_]) -> Lines:
    mean = np.stack([features[row].mean(axis=0) for row in rows])
    deviation = np.stack([features[row].std(axis=0) for row in rows])
    # A feature may vary at one site and be constant at another, which does not cover the region.
    flat = ~varies | (deviation <= _FLAT * np.abs(features).max(axis=0))
    scale = 1 / np.where(flat, 1.0, deviation)
    return scale, -mean * scale


def _combat(features: NDArray[np.float64], rows: list[NDArray[np.bool_]], varies: NDArray[np.bool_]) -> Lines:
    """Read ComBat's lines off its answers for 0 and 1 at each site; the last line leaves a scan as it is."""
    own, everyone = np.any(rows, axis=0), len(rows)
    line = np.argmax(rows, axis=0)[own]
    known = pd.DataFrame(features[own])
    scale, shift = np.ones((everyone + 1, known.shape[1])), np.zeros((everyone + 1, known.shape[1]))
    shift[:-1] = known.mean().to_numpy() - np.stack([features[row].mean(axis=0) for row in rows])
    if varies.any():
        probes = pd.DataFrame(np.repeat([[0.0], [1.0]], varies.sum(), axis=1)).iloc[np.repeat([0, 1], everyone)]
        probes.index = pd.RangeIndex(len(known), len(known) + 2 * everyone)
        batch = pd.Series(np.concatenate([line, np.tile(np.arange(everyone), 2)]))
        table = known.loc[:, varies].set_axis(range(varies.sum()), axis=1)
        combat = ComBat(batch).fit(table)
        at_0, at_1 = np.split(combat.transform(probes).to_numpy(), 2)
        scale[:-1, varies], shift[:-1, varies] = at_1 - at_0, at_0
    return scale, shift
