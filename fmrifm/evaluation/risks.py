"""What in a cohort, before any training, could pass for a finding: repeated scans, sites, scanners and motion.

The subject is the unit: two scans of one subject are no repetition, and count once where labels are compared.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import chi2_contingency, mannwhitneyu

from fmrifm.evaluation.leakage import shared

_NEAR = 3
"""Bits of 64 in which signatures of one signal saved twice may differ; of unrelated scans about 32 differ."""
_BLOCKS, _BLOCK_BITS = 4, 16
_P = 0.01
_NAMED = 5
"""Examples that a sentence gives."""
_NUISANCES = {"tr_s": "repetition time (tr_s)", "mean_fd": "head motion (mean_fd)"}


def leakage_risks(scans: pd.DataFrame, targets: Sequence[str] = ("dx",)) -> list[str]:
    """Say what lets a classifier score without reading the brain.

    Args:
        scans: Scan table with scan, subject and site; sha256, signature, tr_s, mean_fd and labels where known.
        targets: Columns with labels; scans without one are left out of that label's comparison.

    Returns:
        One sentence a risk; none for a cohort without a visible one.
    """
    found = [*_same_bytes(scans), *_same_signal(scans), *_two_sites(scans)]
    for target in targets:
        if target in scans:
            found += [*_site_predicts(scans, target), *_nuisances_predict(scans, target)]
    return found


def near_groups(signatures: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Give scans whose signatures differ in at most 3 bits, directly or through others, one group number.

    Signatures that differ in 3 bits agree in one of four blocks of 16 bits, so only those that share a block
    are compared: 50,000 scans take well under a second, where all pairs would be 1.25 billion.

    Args:
        signatures: One a scan, shape (N,).

    Returns:
        Group of each scan, shape (N,).
    """
    codes, place = np.unique(signatures, return_inverse=True)
    pairs = np.concatenate([_near_in_block(codes, block) for block in range(_BLOCKS)])
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(codes), len(codes)))
    return np.asarray(connected_components(graph, directed=False)[1][place])


def _near_in_block(codes: NDArray[np.uint64], block: int) -> NDArray[np.intp]:
    """Pairs (P, 2) that agree in the block and are near, by comparing each code with its neighbours in block order."""
    keys = (codes >> np.uint64(block * _BLOCK_BITS)) & np.uint64(2**_BLOCK_BITS - 1)
    order = np.argsort(keys, kind="stable")
    codes, keys, found = codes[order], keys[order], [np.empty((0, 2), np.intp)]
    for step in range(1, np.unique(keys, return_counts=True)[1].max(initial=0)):
        first = np.flatnonzero(keys[step:] == keys[:-step])
        near = first[np.bitwise_count(codes[first] ^ codes[first + step]) <= _NEAR]
        found.append(np.stack([order[near], order[near + step]], axis=1))
    return np.concatenate(found)


def _same_bytes(scans: pd.DataFrame) -> list[str]:
    if "sha256" not in scans:
        return []
    twice = shared(scans, scans["sha256"])
    return _repetition(twice, twice["sha256"], "the same bytes")


def _same_signal(scans: pd.DataFrame) -> list[str]:
    if "signature" not in scans:
        return []
    known = scans[scans["signature"].notna()]
    if "sha256" in known:  # scans with the same bytes are told already
        known = known[~known["sha256"].duplicated() | known["sha256"].isna()]
    signatures = np.array([int(signature, 16) for signature in known["signature"]], np.uint64)
    groups = pd.Series(near_groups(signatures), index=known.index)
    twice = shared(known, groups)
    return _repetition(twice, groups[twice.index], "nearly the same signal")


def _repetition(twice: pd.DataFrame, groups: pd.Series, what: str) -> list[str]:
    if twice.empty:
        return []
    named = (twice["scan"] if "scan" in twice else twice["subject"]).astype(str)
    examples = [" = ".join(members) for _, members in named.groupby(groups, sort=False)]
    return [
        f"{len(twice)} scans under different subject identifiers hold {what}: {_some(examples)}. Were one in the "
        "training and one in the test set, the test subject would have been seen."
    ]


def _two_sites(scans: pd.DataFrame) -> list[str]:
    known = scans.dropna(subset="site").drop_duplicates(["subject", "site"])
    several = known[known["subject"].duplicated(keep=False)].groupby("subject")["site"].agg(sorted)
    if several.empty:
        return []
    examples = [f"{subject} ({', '.join(sites)})" for subject, sites in several.items()]
    everyone = scans["subject"].nunique()
    return [
        f"{len(several)} of {everyone} subject identifiers occur at more than one site: {_some(examples)}. They are "
        "one person in both, or two people with one name; leaving a site out does not leave them out."
    ]


def _site_predicts(scans: pd.DataFrame, target: str) -> list[str]:
    """Compare the labels' shares between sites (chi-squared)."""
    subjects = _labelled(scans, target)
    counts = pd.crosstab(subjects["site"].fillna("unknown"), subjects[target])
    if min(counts.shape) < 2 or (p := chi2_contingency(counts).pvalue) >= _P:
        return []
    shares = counts.div(counts.sum(axis=1), axis=0)
    spread = (shares.max() - shares.min()).round(9).to_numpy()
    differs = len(spread) - 1 - int(spread[::-1].argmax())  # of a binary label the cases, since both spread alike
    share = shares.iloc[:, differs].sort_values(ascending=False, kind="stable")
    sizes = counts.sum(axis=1)[share.index]
    sites = [f"{value:.0%} of {size} at {site}" for site, value, size in zip(share.index, share, sizes, strict=True)]
    return [
        f"Site alone predicts {target} ({_p(p)}, chi-squared over {len(subjects)} subjects). Subjects with {target} "
        f"{_label(share.name)}: {', '.join(sites)}; the largest difference is {100 * spread[differs]:.0f} points."
    ]


def _nuisances_predict(scans: pd.DataFrame, target: str) -> list[str]:
    """Compare what should carry no diagnosis between the two groups of a binary label (Mann-Whitney)."""
    found = []
    for column, name in _NUISANCES.items():
        if column not in scans:
            continue
        subjects = _labelled(scans, target, column).dropna(subset=column)
        groups = [(label, values.to_numpy(float)) for label, values in subjects.groupby(target)[column]]
        if len(groups) != 2 or subjects[column].nunique() < 2:
            continue
        (low, others), (high, cases) = groups
        test = mannwhitneyu(cases, others)
        if test.pvalue < _P:
            found.append(
                f"{name[0].upper()}{name[1:]} alone predicts {target}: AUC "
                f"{test.statistic / len(cases) / len(others):.2f} for {target} {_label(high)} ({_p(test.pvalue)}, "
                f"Mann-Whitney over {len(subjects)} subjects); medians {np.median(cases):.3g} against "
                f"{np.median(others):.3g} for {target} {_label(low)}."
            )
    return found


def _labelled(scans: pd.DataFrame, target: str, *measures: str) -> pd.DataFrame:
    """One row a subject with a label: the label and site of the first scan that has them, the mean of its measures."""
    columns = {"site": "first", target: "first", **dict.fromkeys(measures, "mean")}
    numbers = {name: pd.to_numeric(scans[name], errors="coerce") for name in measures}
    return scans.assign(**numbers).groupby("subject").agg(columns).dropna(subset=target)


def _label(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _some(examples: Sequence[str]) -> str:
    more = f" and {len(examples) - _NAMED} more" if len(examples) > _NAMED else ""
    return ", ".join(examples[:_NAMED]) + more
