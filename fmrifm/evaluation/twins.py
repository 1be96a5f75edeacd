"""One signal under several identifiers: which scans repeat each other, and which subjects that makes one.

Axes: N scans.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_NEAR = 3
"""Bits of 64 in which signatures of one signal saved twice may differ; of unrelated scans about 32 differ."""
_BLOCKS, _BLOCK_BITS = 4, 16


def signal_groups(scans: pd.DataFrame) -> pd.Series:
    """Give subjects that hold one signal, directly or through others, one group.

    Signals are one where their bytes are equal or their signatures nearly so; a scan without either is its own.

    Args:
        scans: Scan table with subject; sha256 and signature where known.

    Returns:
        For each subject, in order of name, the first name of its group.
    """
    subjects, member = np.unique(scans["subject"].to_numpy(str), return_inverse=True)
    nodes = len(subjects)
    links = [np.empty((0, 2), np.intp)]
    for signals in _signals(scans):
        held = np.flatnonzero(signals >= 0)
        links.append(np.stack([member[held], nodes + signals[held]], axis=1))
        nodes += int(signals.max(initial=-1)) + 1
    pairs = np.concatenate(links)
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(nodes, nodes))
    group = connected_components(graph, directed=False)[1][: len(subjects)]
    _, first, place = np.unique(group, return_index=True, return_inverse=True)
    return pd.Series(subjects[first][place], index=pd.Index(subjects, name="subject"), name="group", dtype=object)


def seen_before(scans: pd.DataFrame, names: Iterable[str]) -> dict[str, str]:
    """Subjects of whom a signal was seen under one of the names, each with that name: its own where that is one.

    Args:
        scans: Scan table with subject; sha256 and signature where known.
        names: Subjects that were seen, say in pretraining; those without a scan in the table count by name alone.
    """
    groups, seen = signal_groups(scans), set(names)
    holders = {group: min(members) for group, rows in groups.groupby(groups) if (members := seen & set(rows.index))}
    found = {subject: subject if subject in seen else holders.get(group) for subject, group in groups.items()}
    return {str(subject): name for subject, name in found.items() if name is not None}


def _signals(scans: pd.DataFrame) -> list[NDArray[np.intp]]:
    """Number of each scan's signal, by bytes and by signature; -1 where it is not known."""
    found = []
    if "sha256" in scans:
        found.append(pd.factorize(scans["sha256"])[0])
    if "signature" in scans:
        known = scans["signature"].notna().to_numpy()
        signals = np.full(len(scans), -1, np.intp)
        signals[known] = near_groups(signature_codes(scans.loc[known, "signature"]))
        found.append(signals)
    return found


def shared(scans: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """Scans that stand in one group with a scan of another subject; a missing group is none."""
    return scans[scans["subject"].groupby(groups).transform("nunique") > 1]


def signature_codes(signatures: pd.Series) -> NDArray[np.uint64]:
    """Signatures of 16 hex digits as numbers, shape (N,)."""
    return np.array([int(signature, 16) for signature in signatures], np.uint64)


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
