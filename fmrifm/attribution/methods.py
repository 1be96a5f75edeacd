"""Every method, from a cohort to scores of regions; the voxels of no region are kept as the rest.

Axes: S scans, V brain voxels, R regions on the grid, H spoilt counterparts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fmrifm.attribution.cohort import Cohort, Judges, generator_of
from fmrifm.attribution.contribution import Contributions, contributions
from fmrifm.attribution.fidelity import correlation, r2, region_fidelity
from fmrifm.attribution.gradients import voxel_gradients
from fmrifm.attribution.judges import SPOILT, randomised
from fmrifm.attribution.occlusion import region_occlusion
from fmrifm.attribution.readout import region_readout
from fmrifm.attribution.rollout import region_rollout
from fmrifm.config import PathStart
from fmrifm.evaluation.baselines import Connectomes
from fmrifm.evaluation.permutation import shuffled_labels
from fmrifm.model.heads import ScanClassifier
from fmrifm.model.mae import MaskedAutoencoder

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class RegionScores:
    """What one method says of the regions of every scan."""

    method: str
    mean: Array
    """Score per voxel, or the R2 of fidelity, shape (S, R)."""
    total: Array | None
    """Score of the whole region, shape (S, R); fidelity has none."""
    of_label: bool
    """Whether a region's importance is the difference between labels; else it is the mean over all."""
    rest: Array | None = None
    """What the voxels of no region hold, shape (S,); adds the totals up to `whole`."""
    whole: Array | None = None
    """The score of the whole scan, where regions add up to one, shape (S,)."""
    correlation: Array | None = None
    """Of predicted and true region means, shape (S, R); fidelity alone."""
    shuffled: Array | None = None
    """The scores (total, or mean) by classifiers of shuffled labels, shape (H, S, R); NaN of scans left out."""
    random: Array | None = None
    """The same by networks of random weights."""
    error: Array | None = None
    """Share of the log-odds that the scores miss where they should add up to them, shape (S,)."""

    @property
    def importance(self) -> Array:
        """Total, or the mean where there is none, shape (S, R)."""
        return self.mean if self.total is None else self.total


def of_regions(maps: NDArray[np.floating], region_V: NDArray[np.int64], regions: int) -> Array:
    """Add maps of voxels (..., V) up by region, shape (..., R + 1); the last holds the voxels of no region."""
    share = np.zeros((region_V.size, regions + 1))
    share[np.arange(region_V.size), region_V] = 1
    return np.asarray(maps, np.float64) @ share


def fidelity(
    cohort: Cohort, groups: int, deals: int, drawn: NDArray[np.intp]
) -> tuple[list[RegionScores], Contributions]:
    """How well each region is predicted, and what it gives to the others.

    Args:
        cohort: Whom to explain.
        groups: Into how many groups regions are dealt.
        deals: How often.
        drawn: Positions of the scans on which a network with random weights is asked too.
    """
    blank = randomised(cohort.pretrained.model, torch.Generator().manual_seed(cohort.seed))

    def asked(model: MaskedAutoencoder, scan: int) -> dict[str, NDArray[Any]]:
        batch, rng = cohort.window_batch(scan), generator_of(cohort.seed, 0, scan)
        found = [region_fidelity(model, batch, groups, rng) for _ in range(deals)]
        return {name: np.stack([getattr(part, name) for part in found]) for name in found[0]._fields}

    found = cohort.each("fidelity", lambda scan: asked(cohort.pretrained.model, scan))
    spoilt = cohort.each("fidelity_random", lambda scan: asked(blank, scan), drawn)
    mean_SR = r2(found["left"].sum(axis=1), found["total"].sum(axis=1))
    rows = (len(cohort.scans) * deals, -1)
    given = contributions(
        r2(found["left"], found["total"]).reshape(rows), found["group"].astype(np.int64).reshape(rows)
    )
    given_SR = given.given.reshape(len(cohort.scans), deals, -1).mean(axis=1)
    scores = [
        RegionScores(
            method="fidelity",
            mean=mean_SR,
            total=None,
            of_label=False,
            correlation=correlation(found["moments"].sum(axis=1)),
            random=r2(spoilt["left"].sum(axis=1), spoilt["total"].sum(axis=1))[None],
        ),
        RegionScores(method="contribution", mean=given_SR / cohort.voxels, total=given_SR, of_label=False),
    ]
    return scores, given


def occlusion(cohort: Cohort, judges: Judges, drawn: NDArray[np.intp]) -> RegionScores:
    """What the classifier's log-odds lose with each region."""
    chosen = frozenset(drawn.tolist())

    def own(scan: int) -> dict[str, NDArray[Any]]:
        heads = judges.shuffled_of(scan) if scan in chosen else ()
        found = region_occlusion(judges.of(scan), *cohort.signal(scan), heads)
        spoilt = np.full((SPOILT, cohort.regions), np.nan)
        spoilt[: len(heads)] = found[1:]
        return {"own": found[0], "shuffled": spoilt}

    def random(scan: int) -> dict[str, NDArray[Any]]:
        return {"own": region_occlusion(judges.random, *cohort.signal(scan), judges.random_heads)}

    found = cohort.each("occlusion", own)
    spoilt = cohort.each("occlusion_random", random, drawn)["own"]
    return _of_label("occlusion", cohort, found["own"], found["shuffled"], spoilt)


def gradients(cohort: Cohort, judges: Judges, drawn: NDArray[np.intp], start: PathStart) -> list[RegionScores]:
    """Integrated gradients, and gradient times input, added up over the voxels of each region."""
    chosen = frozenset(drawn.tolist())

    def asked(
        classifier: ScanClassifier, scan: int, heads: Sequence[nn.Linear], *, fine: bool
    ) -> dict[str, NDArray[Any]]:
        baseline = _other_subject(cohort, scan) if start == "subject" else None
        found = voxel_gradients(classifier, *cohort.signal(scan), heads, baseline, fine=fine)
        maps = {"integrated_gradients": found.integrated, "gradient_x_input": found.times_input}
        sums = {
            name: of_regions(values.cpu().numpy(), cohort.region_of_voxel, cohort.regions)
            for name, values in maps.items()
        }
        return {**sums, "error": found.error.cpu().numpy().astype(float)}

    def own(scan: int) -> dict[str, NDArray[Any]]:
        heads = judges.shuffled_of(scan) if scan in chosen else ()
        found = asked(judges.of(scan), scan, heads, fine=True)
        return {
            **found,
            **{
                name: np.concatenate(
                    [found[name], np.full((1 + SPOILT - len(found[name]), cohort.regions + 1), np.nan)]
                )
                for name in ("integrated_gradients", "gradient_x_input")
            },
            "error": found["error"][:1],
        }

    found = cohort.each("gradients", own)
    spoilt = cohort.each(
        "gradients_random", lambda scan: asked(judges.random, scan, judges.random_heads, fine=False), drawn
    )
    scores = []
    for name in ("integrated_gradients", "gradient_x_input"):
        values = found[name]
        scores.append(
            _of_label(
                name, cohort, values[:, 0, :-1], values[:, 1:, :-1], spoilt[name][..., :-1],
                rest=values[:, 0, -1], whole=values[:, 0].sum(axis=-1),
                error=found["error"][:, 0] if name == "integrated_gradients" else None,
            )
        )  # fmt: skip
    return scores


def rollout(cohort: Cohort, judges: Judges, drawn: NDArray[np.intp]) -> RegionScores:
    """Share of attention that each region receives."""
    found = cohort.each("rollout", lambda scan: {"own": region_rollout(judges.of(scan), *cohort.signal(scan))})
    spoilt = cohort.each(
        "rollout_random", lambda scan: {"own": region_rollout(judges.random, *cohort.signal(scan))}, drawn
    )
    total = found["own"]
    return RegionScores(
        method="rollout",
        mean=total / cohort.voxels,
        total=total,
        of_label=False,
        random=spoilt["own"][None],
    )


def connectome(
    cohort: Cohort, judges: Judges, connectomes: Connectomes, labelled: pd.DataFrame, penalty: float
) -> RegionScores:
    """The same question asked of the connectome baseline, on the same folds.

    Args:
        cohort: Whom to explain.
        judges: Whose folds are taken.
        connectomes: Of all labelled scans.
        labelled: These scans.
        penalty: Strength of the baseline's L2 penalty.
    """
    edges, label = connectomes.correlation, (labelled["label"].to_numpy() > 0).astype(np.int64)
    place = pd.Series(np.arange(len(labelled)), index=labelled["scan"])
    total = np.full((len(cohort.scans), cohort.regions), np.nan)
    shuffled = np.full((SPOILT, *total.shape), np.nan)
    for number, fold in enumerate(judges.folds):
        asked = np.flatnonzero(judges.number == number)
        if not len(asked):
            continue
        train = np.flatnonzero(labelled["subject"].isin(fold.train))
        tested = edges[place.loc[cohort.scans["scan"].iloc[asked]].to_numpy()]
        total[asked] = region_readout(edges[train], label[train], tested, penalty)
        rng = generator_of(cohort.seed, 2, number)
        cases = labelled.iloc[train].assign(label=label[train])
        for spoilt, drawn in zip(shuffled, shuffled_labels(cases, SPOILT, rng), strict=True):
            spoilt[asked] = region_readout(edges[train], drawn, tested, penalty)
    return _of_label("connectome", cohort, total, shuffled.transpose(1, 0, 2), None)


def _of_label(
    method: str, cohort: Cohort, total: Array, shuffled_SHR: Array, random_SHR: Array | None, **more: Array | None
) -> RegionScores:
    return RegionScores(
        method=method,
        mean=total / cohort.voxels,
        total=total,
        of_label=True,
        shuffled=None if np.isnan(shuffled_SHR).all() else shuffled_SHR.swapaxes(0, 1),
        random=None if random_SHR is None else random_SHR.swapaxes(0, 1),
        **more,
    )


def _other_subject(cohort: Cohort, scan: int) -> Tensor:
    """Windows of a scan of another subject, drawn for each scan, as many as the scan's own."""
    others = np.flatnonzero(cohort.scans["subject"] != cohort.scans["subject"].iloc[scan])
    other, _ = cohort.signal(int(generator_of(cohort.seed, 1, scan).choice(others)))
    count = cohort.signal(scan)[0].shape[1]
    return other[:, torch.arange(count) % other.shape[1]]
