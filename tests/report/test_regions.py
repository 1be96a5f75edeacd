import numpy as np
import pandas as pd

from fmrifm.report.regions import by_method, regions_section


def test_methods_are_ranked_each_on_its_own():
    table = pd.DataFrame(
        {"method": ["a", "b", "a", "b"], "name": list("wxyz"), "rank": [2, 1, 1, 2], "importance": [1, 4, 2, np.nan]}
    )
    assert {method: rows["name"].tolist() for method, rows in by_method(table)} == {"a": ["y", "w"], "b": ["x"]}
    assert by_method(None) == []


def test_the_section_has_the_map_then_systems_and_regions_of_each_method(make_run):
    section = regions_section(make_run("attribute"), "Regions")
    starts = [picture.caption.split()[0] for picture in section.pictures]
    assert starts == ["Each", "Systems", "Systems", "The", "The"]
    assert "The 20 leading of 24 regions by occlusion" in section.pictures[-1].caption
    assert "Diamonds: planted, 3 of 3" in section.pictures[-1].caption
    assert "AUC of importance by occlusion against the planted regions: 0.97 (0.92 to 1.02)." in section.sentences


def test_the_full_table_is_folded_and_names_what_was_planted(make_run):
    _, occlusion = regions_section(make_run("attribute"), "Regions").tables
    assert occlusion.folded
    assert len(occlusion.rows) == 24
    assert {row[1] for row in occlusion.rows if row[-1] == "planted"} == {
        "Hippocampus_L",
        "Limbic_2_L",
        "Cerebellum_7_L",
    }
    assert [row[0] for row in occlusion.rows[:3]] == ["1", "2", "3"]


def test_without_a_plan_nothing_is_called_planted(make_run):
    section = regions_section(make_run("attribute", planted=None), "Regions")
    assert "Diamonds" not in section.pictures[-1].caption
    assert "truth" not in section.tables[0].columns
