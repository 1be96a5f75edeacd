import pandas as pd

from fmrifm.report.compared import compared_sections


def parts(*runs):
    (section,) = compared_sections(runs)
    return {part.title: part for part in section.parts}


def moved(run, method, places):
    """Turn the ranking of one method round by so many places."""
    path = run.path / "regions.tsv"
    table = pd.read_csv(path, sep="\t")
    rows = table["method"] == method
    ranks = (table.loc[rows, "rank"] + places - 1) % 24 + 1
    table.loc[rows, "rank"] = ranks
    table.loc[rows, "importance"] = -ranks.to_numpy(float)
    table.to_csv(path, sep="\t", index=False)
    return run


def test_a_single_run_of_each_stage_is_compared_with_nothing(chain):
    assert compared_sections(chain) == []


def test_scores_of_runs_stand_side_by_side_with_intervals(make_run):
    found = parts(make_run("evaluate", "random", auc=0.7), make_run("evaluate", "region", auc=0.8))
    (part,) = found.values()
    assert part.tables[0].columns[:3] == ["run", "AUC", "Balanced accuracy"]
    assert part.tables[0].rows[1][:2] == ["region", "0.80 (0.75 to 0.85)"]
    assert "random 0.70 (0.65 to 0.75); region 0.80 (0.75 to 0.85)" in part.pictures[0].svg
    assert len(part.pictures) == 2


def test_pretrainings_are_compared_by_reconstruction(make_run):
    (part,) = parts(make_run("pretrain", "one"), make_run("pretrain", "two")).values()
    assert [picture.caption.split(" of every")[0] for picture in part.pictures] == [
        "R² of hidden voxels",
        "R² of hidden region means",
    ]
    assert "Dotted: 0.00" in part.pictures[0].caption


def test_only_settings_that_differ_are_listed(make_run):
    runs = [make_run("pretrain", name) for name in ("one", "two")]
    (runs[0].path / "config.yaml").write_text("out: a\nseed: 0\nmasking:\n  kind: random\n  ratio: 0.75\n")
    (runs[1].path / "config.yaml").write_text("out: b\nseed: 1\nmasking:\n  kind: region\n  ratio: 0.75\nmore: 3\n")
    table = parts(*runs)["Pretraining"].tables[-1]
    assert table.columns == ["setting", "one", "two"]
    assert table.rows == [["seed", "0", "1"], ["masking.kind", "random", "region"], ["more", "–", "3"]]


def test_rankings_agree_wholly_with_themselves_and_in_part_when_moved(make_run):
    one = moved(make_run("attribute", "one", methods=("occlusion", "fidelity")), "occlusion", 0)
    two = moved(make_run("attribute", "two", methods=("occlusion", "rollout")), "occlusion", 4)
    part = parts(one, two)["Regions"]
    # Ranks 1 to 6 of the first are 5 to 10 of the second: 6 of 10 shared, where chance gives 10 of 24.
    assert part.sentences[0] == "By occlusion, 60 % of the 10 leading regions are the same; chance would give 42 %."
    assert part.tables[0].rows[0][:3] == ["Occlusion", "one", "two"]
    assert part.tables[0].rows[0][4:] == ["0.60", "0.42"]
    shared = part.tables[1]
    assert shared.columns == ["method", "region", "system", "top 10 in", "one", "two"]
    assert [row[3:] for row in shared.rows] == [["2 of 2", str(k), str(k + 4)] for k in range(1, 7)]
    assert "occlusion 0.60 and " in part.pictures[0].svg


def test_runs_of_one_seed_are_said_to_share_it(make_run):
    runs = [make_run("pretrain", name) for name in ("one", "two", "three")]
    said = "one, two and three share seed 0: how far another seed alone would move them is not shown."
    assert parts(*runs)["Pretraining"].sentences == [said]


def test_three_runs_give_three_pairs(make_run):
    runs = [make_run("attribute", name, methods=("occlusion",)) for name in ("a", "b", "c")]
    part = parts(*runs)["Regions"]
    assert "100 % of the 10 leading regions are the same, on average of 3 pairs of runs" in part.sentences[0]
    assert len(part.tables[0].rows) == 3
    assert part.tables[1].rows[0][3:] == ["3 of 3", "1", "1", "1"]


def test_runs_of_different_methods_are_said_to_have_nothing_in_common(make_run):
    one, two = (make_run("attribute", name, methods=(name,)) for name in ("occlusion", "fidelity"))
    assert parts(one, two)["Regions"].sentences == ["No two of these runs asked the same method."]
