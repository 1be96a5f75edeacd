import numpy as np
import pandas as pd

from fmrifm.report.figures import curves, label_bars, ranking, system_bars


def regions(count: int) -> pd.DataFrame:
    importance = np.linspace(0.5, 0.1, count)
    names = [f"Region_{k}" for k in range(count)]
    table = {"index": range(count), "name": names, "importance": importance, "p_fdr": 0.01}
    return pd.DataFrame(table).assign(ci_low=importance - 0.05, ci_high=importance + 0.05)


def test_bars_name_every_site_and_count():
    svg = label_bars({"North": {"controls": 7, "cases": 3}, "South": {"controls": 2, "cases": 9}}, "label").svg
    assert "North: 7 controls, 3 cases; South: 2 controls, 9 cases" in svg


def test_curves_say_where_they_start_and_end():
    series = {"voxels": pd.Series([0.1, 0.25], index=[10, 20])}
    drawn = curves(series, "validation R²", "caption", zero="trivial (0)")
    assert "voxels from 0.1 to 0.25" in drawn.svg
    assert ">trivial (0)<" in drawn.svg


def test_regions_are_drawn_best_first_and_planted_ones_in_the_second_colour():
    plain, planted = ranking(regions(4), "importance", [], ""), ranking(regions(4), "importance", [2], "")
    assert "Region_0 0.5, Region_1" in plain.svg
    assert "var(--second)" not in plain.svg
    assert "var(--second)" in planted.svg


def test_long_names_are_cut_in_the_drawing_and_whole_in_its_words():
    name = "An_unusually_long_name_of_a_region_L"
    svg = ranking(regions(1).assign(name=name), "importance", [], "").svg
    assert f">{name}<" not in svg
    assert ">An_unusually_long_name_of…<" in svg
    assert f"{name} 0.5" in svg


def test_systems_without_an_interval_are_drawn_all_the_same():
    systems = pd.DataFrame({"system": ["Limbic"], "importance": [0.2], "ci_low": [np.nan], "ci_high": [np.nan]})
    assert "Limbic 0.2" in system_bars(systems, "importance", "").svg
