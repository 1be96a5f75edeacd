import numpy as np
import pandas as pd

from fmrifm.report.region_tables import by_method, detail_table, full_tables, region_table, system_table, systems_table


def full(run, planted=()):
    return {table.caption.split(": ")[0].split(" by ")[1]: table for table in tables(run, planted)}


def tables(run, planted):
    return full_tables(by_method(region_table(run)), detail_table(run), planted)


def column(table, name):
    return [row[table.columns.index(name)] for row in table.rows]


def test_methods_are_ranked_each_on_its_own_and_come_in_reading_order():
    table = pd.DataFrame(
        {"method": ["a", "fidelity", "a", "fidelity"], "name": list("wxyz"), "rank": [2, 1, 1, 2]}
    ).assign(importance=[1, 4, 2, np.nan])
    assert {method: rows["name"].tolist() for method, rows in by_method(table).items()} == {
        "fidelity": ["x"],
        "a": ["y", "w"],
    }
    assert list(by_method(table)) == ["fidelity", "a"]
    assert by_method(None) == {}


def test_the_table_of_a_method_has_total_per_voxel_labels_and_sides(make_run):
    occlusion = full(make_run("attribute"), planted=[1, 2, 7])["occlusion"]
    assert occlusion.folded
    assert occlusion.caption == "All 24 regions by occlusion: importance by occlusion (log-odds)"
    assert column(occlusion, "rank")[:3] == ["1", "2", "3"]
    assert column(occlusion, "rank per voxel")[:3] == ["24", "23", "22"]
    row = dict(zip(occlusion.columns, occlusion.rows[0], strict=True))
    assert row["cases − controls"] == "0.09"
    assert row["difference, 95 % interval"] == "0.02 to 0.16"
    assert (row["difference, p"], row["difference, p (FDR)"], row["p (FDR)"]) == ("0.0021", "0.013", "0.01")
    assert (row["left − right"], row["left − right, 95 % interval"]) == ("0.003", "−0.001 to 0.007")
    assert row["covered (%)"] == "95"
    names = {name for name, truth in zip(column(occlusion, "region"), column(occlusion, "truth"), strict=True) if truth}
    assert names == {"Hippocampus_L", "Limbic_2_L", "Cerebellum_7_L"}


def test_columns_without_a_figure_are_left_out(make_run):
    found = full(make_run("attribute"))
    assert "r of time courses" in found["fidelity"].columns
    assert "rank per voxel" not in found["fidelity"].columns
    assert "r of time courses" not in found["occlusion"].columns
    assert "p (FDR)" not in found["rollout"].columns
    assert "truth" not in found["occlusion"].columns


def test_regions_of_older_folders_have_their_importance_alone(make_run):
    found = full(make_run("attribute", old=True))
    assert found["occlusion"].columns == [
        "rank", "region", "system", "importance", "95 % interval", "p (FDR)", "voxels", "covered (%)"
    ]  # fmt: skip


def test_all_systems_stand_in_one_table(make_run):
    table = systems_table(by_method(system_table(make_run("attribute"))))
    assert len(table.rows) == 7 * 3
    assert list(table.rows[0][:3]) == ["Occlusion", "1", "Limbic"]
