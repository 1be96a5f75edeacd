import numpy as np
import pytest

from fmrifm.attribution.contribution import contributions


def planted(scans: int = 600, regions: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R2 that fall by .3 in region 2 where 5 is hidden with it, by .1 in 0 where 1 is; three groups at random."""
    rng = np.random.default_rng(0)
    group = np.stack([rng.permutation(np.repeat(np.arange(3), 3)) for _ in range(scans)])
    truth = np.zeros((regions, regions))
    truth[5, 2], truth[1, 0] = 0.3, 0.1
    same = group[:, :, None] == group[:, None, :]
    r2 = 0.4 + rng.normal(0, 0.02, (scans, regions)) - np.einsum("sij,ij->sj", same, truth)
    return r2 + rng.normal(0, 0.3, (scans, 1)), group, truth  # some scans are predicted better in all regions


def test_what_was_planted_between_two_regions_is_found_with_its_size() -> None:
    r2, group, truth = planted()
    found = contributions(r2, group)
    off = ~np.eye(9, dtype=bool)
    assert np.isnan(found.matrix[~off]).all()
    # Centring a scan over its nine regions takes a ninth away.
    assert found.matrix[5, 2] == pytest.approx(0.3 * 8 / 9, abs=0.02)
    assert found.matrix[1, 0] == pytest.approx(0.1 * 8 / 9, abs=0.02)
    others = off & (truth == 0)
    assert abs(found.matrix[others]).max() < 0.06
    assert found.matrix[5, 2] > 5 * found.se[5, 2]


def test_standard_errors_are_those_of_a_difference_of_means() -> None:
    r2, group, _ = planted()
    found = contributions(r2, group)
    around = r2 - r2.mean(axis=0)
    lost = -(around - around.mean(axis=1, keepdims=True))
    with_it = group[:, 3] == group[:, 7]
    parts = lost[with_it, 7], lost[~with_it, 7]
    assert found.matrix[3, 7] == pytest.approx(parts[0].mean() - parts[1].mean())
    assert found.se[3, 7] == pytest.approx(np.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)))


def test_what_a_region_gives_to_all_others_leads_the_ranking_by_scan_means() -> None:
    r2, group, _ = planted()
    given = np.nanmean(contributions(r2, group).given, axis=0)
    assert np.argsort(-given)[:2].tolist() == [5, 1]
    assert given[5] == pytest.approx(0.3, abs=0.06)


def test_a_region_that_a_scan_lacks_counts_in_the_others_alone() -> None:
    r2, group, _ = planted()
    r2[::2, 2] = np.nan
    found = contributions(r2, group)
    assert found.matrix[5, 2] == pytest.approx(0.3 * 8 / 9, abs=0.03)
    assert np.isnan(found.given[::2, 2]).all()
    assert not np.isnan(found.given[1::2, 2]).any()


def test_regions_that_were_never_hidden_together_have_no_figure() -> None:
    r2 = np.random.default_rng(0).normal(size=(20, 4))
    found = contributions(r2, np.tile([0, 0, 1, 1], (20, 1)))
    assert np.isnan(found.matrix[0, 2])
    assert np.isnan(found.matrix[0, 1])  # nor is there a scan in which these two were not
