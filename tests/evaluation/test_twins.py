import time
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from fmrifm.evaluation.twins import near_groups, seen_before, signal_groups


def table(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"subject": ["d", "b", "a", "c", "b"], **columns})


def test_subjects_with_the_same_bytes_or_nearly_the_same_signature_are_one_group() -> None:
    # a and c share bytes; c's signature is three bits from that of b's second scan; d stands alone.
    scans = table(
        sha256=["0", "1", "2", "2", "3"],
        signature=[f"{code:016x}" for code in (0xFF << 40, 2**64 - 1, 0xFF << 20, 0b10101, 0)],
    )
    assert signal_groups(scans).to_dict() == {"a": "a", "b": "a", "c": "a", "d": "d"}


def test_without_hashes_every_subject_is_its_own() -> None:
    own = {name: name for name in "abcd"}
    assert signal_groups(table()).to_dict() == own
    empty: list[object] = [None, None, None, float("nan"), None]
    assert signal_groups(table(sha256=empty, signature=empty)).to_dict() == own


@pytest.mark.parametrize("column", ["sha256", "signature"])
def test_one_column_is_enough_and_may_have_holes(column: str) -> None:
    code = "00000000000000ff"
    groups = signal_groups(table(**{column: [code, None, code, None, "ffff000000000000"]}))
    assert groups.to_dict() == {"a": "a", "b": "b", "c": "c", "d": "a"}
    assert groups.index.name == "subject"


def test_a_table_without_scans_has_no_groups() -> None:
    assert signal_groups(pd.DataFrame({"subject": [], "sha256": [], "signature": []})).empty


def test_who_was_seen_is_found_by_name_and_by_signal() -> None:
    scans = table(sha256=["0", "1", "2", "2", "0"])  # d = b and a = c
    assert seen_before(scans, ["b", "c", "elsewhere"]) == {"a": "c", "b": "b", "c": "c", "d": "b"}
    assert seen_before(scans, ["elsewhere"]) == {}
    assert seen_before(scans[["subject"]], ["c"]) == {"c": "c"}


def test_groups_of_near_signatures_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(1)
    seeds = rng.integers(0, 2**64, 60, dtype=np.uint64)
    codes = [int(seed) ^ sum(1 << int(bit) for bit in rng.choice(64, n % 6, replace=False))
             for n, seed in enumerate(np.repeat(seeds, 3))]  # fmt: skip
    groups = near_groups(np.array(codes, np.uint64))
    near = [(a, b) for a, b in combinations(range(len(codes)), 2) if (codes[a] ^ codes[b]).bit_count() <= 3]
    assert 20 < len(near) < 200
    assert all(groups[a] == groups[b] for a, b in near)
    merged = list(range(len(codes)))
    for a, b in near:
        merged = [merged[a] if group == merged[b] else group for group in merged]
    assert len(set(groups)) == len(set(merged))


def test_fifty_thousand_signatures_are_compared_in_seconds() -> None:
    codes = np.random.default_rng(2).integers(0, 2**64, 50_000, dtype=np.uint64)
    codes[40_000] = codes[5] ^ np.uint64(0b111)
    start = time.perf_counter()
    groups = near_groups(codes)
    assert time.perf_counter() - start < 10
    assert groups[40_000] == groups[5]
    assert len(np.unique(groups)) == 49_999
