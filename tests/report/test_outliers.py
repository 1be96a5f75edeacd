import pandas as pd
import pytest

from fmrifm.report.outliers import MEASURES, outliers, worst


def site(name: str, **measures: list[float | None]) -> pd.DataFrame:
    n = len(next(iter(measures.values())))
    scans = [f"{name}{number}" for number in range(n)]
    return pd.DataFrame({"scan": scans, "subject": scans, "site": name, **measures})


def test_fences_are_those_of_the_scans_own_site() -> None:
    # Quartiles of north: 2 and 4, so the upper fence is 4 + 1.5 * 2 = 7; south's values lie around 20.
    scans = pd.concat([site("north", n_spikes=[1, 2, 3, 4, 8]), site("south", n_spikes=[18, 19, 20, 21, 22])])
    (row,) = outliers(scans.reset_index(drop=True)).to_dict("records")
    assert (row["scan"], row["site"], row["measure"]) == ("north4", "north", "volumes that are spikes")
    assert (row["value"], row["fence"], row["excess"]) == (8, 7, 0.5)
    assert (row["value_text"], row["fence_text"]) == ("8", "7.00")


@pytest.mark.parametrize(
    ("column", "sides"), [("tsnr", 2), ("mean_fd", 1), ("coverage", 1), ("drift", 1), ("n_spikes", 1)]
)
def test_a_value_stands_out_on_the_side_that_is_a_fault(column: str, sides: int) -> None:
    found = outliers(site("a", **{column: [0.0, 50, 51, 52, 53, 54, 100]}))
    assert len(found) == sides
    assert ("a0" in found["scan"].tolist()) == (column in ("tsnr", "coverage"))


def test_too_few_scans_have_no_fence() -> None:
    assert outliers(site("a", n_spikes=[1, 1, 1, 90])).empty
    assert outliers(site("a", n_spikes=[1, 1, 1, 90, None])).empty
    assert len(outliers(site("a", n_spikes=[1, 1, 1, 90, 1]))) == 1


def test_what_the_page_shows_as_equal_does_not_stand_out() -> None:
    assert outliers(site("a", coverage=[1, 1, 1, 1, 0.9996])).empty


def test_values_have_their_unit_and_shares_are_percent() -> None:
    (row,) = outliers(site("a", coverage=[0.99, 0.99, 0.99, 0.99, 0.5])).to_dict("records")
    assert (row["value_text"], row["fence_text"]) == ("50.0 %", "99.00 %")
    assert [measure.label() for measure in MEASURES][:2] == ["temporal SNR", "mean framewise displacement (mm)"]


def test_scans_without_a_site_are_compared_with_each_other() -> None:
    assert outliers(site("a", n_spikes=[1, 1, 1, 90, 1]).assign(site=None))["site"].tolist() == ["unknown"]


def test_a_cohort_without_measures_has_no_outliers() -> None:
    assert outliers(site("a", dx=[0, 1, 0, 1, 0])).empty


def test_the_worst_scans_are_those_with_most_measures_then_those_furthest_out() -> None:
    quiet = [1.0] * 12
    scans = site("a", n_spikes=[*quiet, 1, 5, 9], mean_fd=[*quiet, 90, 1, 1.5])
    assert worst(outliers(scans), 2) == ["a14", "a12"]
    assert worst(outliers(scans.iloc[:12]), 3) == []
