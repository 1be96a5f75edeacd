import pandas as pd
import pytest

from fmrifm.errors import DataError
from fmrifm.report.trial import trial_section, trial_summary


@pytest.fixture(scope="module")
def section(chain):
    """The section of the chain's compare run; read only."""
    return trial_section(chain[3], "Trial of masking")


def change(run, name, edit):
    path = run.path / name
    edit(pd.read_csv(path, sep="\t")).to_csv(path, sep="\t", index=False)


def test_the_design_is_counted_from_the_cells(section):
    words = " ".join(section.sentences)
    assert (
        "30 cells: random, tube and region masks, beside encoder at random initialisation and connectome "
        "(correlation), with 2 seeds and 3 folds. Every cell was trained for 200 updates and hid 75.0 % of the voxels."
    ) in words
    assert "With 30 subjects and 6 pairs of cells (folds × seeds), differences in AUC below 0.07 would" in words
    assert "Not finished" not in words


def test_folds_that_are_numbered_through_all_seeds_are_counted_by_seed(make_run, section):
    run = make_run("compare")
    change(run, "cells.tsv", lambda cells: cells.assign(fold=3 * cells["seed"] + cells["fold"]))
    assert trial_section(run, "").sentences == section.sentences


def test_missing_cells_and_unequal_effort_are_said(make_run):
    run = make_run("compare")
    change(run, "cells.tsv", lambda cells: cells.assign(updates=cells["updates"].where(cells.index > 0, 150)).drop([7]))
    words = " ".join(trial_section(run, "").sentences)
    assert "Not finished: 1 of 18 trained cells missing." in words
    assert "150 to 200 updates" in words


def test_every_model_is_a_row_with_maskers_first(make_run):
    run = make_run("compare")
    change(run, "maskers.tsv", lambda table: table[::-1])
    table = trial_section(run, "").tables[0]
    assert [row[0] for row in table.rows] == [
        "region",
        "tube",
        "random",
        "connectome, correlation",
        "encoder at random initialisation",
    ]
    assert table.rows[2][1:3] == ["0.62 (0.60 to 0.64)", "0.310 (0.290 to 0.330)"]
    assert table.rows[3][2:] == ["–"] * 3


def test_each_model_has_one_sentence_with_its_verdicts(section):
    tube, region, untrained, connectome = section.points
    assert region == (
        "Region against random: better in AUC (+0.090, 0.040 to 0.140, p = 0.030) and R² of voxels under region masks "
        "(+0.090); worse in R² of voxels under random masks (−0.090) and R² of region means under random masks "
        "(−0.060)."
    )
    assert tube.startswith("Tube against random: no difference shown in AUC (+0.010, −0.040 to 0.060")
    assert untrained.startswith("Encoder at random initialisation against random: worse in R²")
    assert connectome == "Connectome (correlation) against random: better in AUC (+0.070, 0.020 to 0.120, p = 0.030)."


def test_reconstruction_stands_beside_classification_and_every_difference_is_drawn(section):
    captions = [picture.caption for picture in section.pictures]
    assert captions[0].startswith("Reconstruction beside classification")
    assert [caption.split(":")[0] for caption in captions[1:]] == [
        "AUC",
        "R² of voxels under random masks",
        "R² of region means under random masks",
        "R² of voxels under region masks",
    ]


def test_every_level_of_a_factor_has_its_part_with_the_baseline_that_has_none(make_run):
    run = make_run("compare", factor={"masking.ratio": [0.75, 0.5]})
    change(run, "maskers.tsv", lambda table: table.assign(value=table["value"] * table["masking.ratio"].fillna(1)))
    section = trial_section(run, "Trial of masking")
    assert [part.title for part in section.parts] == ["masking.ratio 0.5", "masking.ratio 0.75"]
    low, high = ({row[0]: row[1] for row in part.tables[0].rows} for part in section.parts)
    assert (low["random"][:4], high["random"][:4]) == ("0.31", "0.46")
    assert low["connectome, correlation"] == high["connectome, correlation"]
    assert "54 cells" in section.sentences[0]
    assert len(trial_summary(run)) == 4
    assert trial_summary(run)[0].startswith("Trial of masking, masking.ratio 0.5: by AUC")


@pytest.mark.parametrize("name", ["cells.tsv", "maskers.tsv", "differences.tsv"])
def test_what_is_empty_or_missing_is_left_out(make_run, section, name):
    partial = make_run("compare")
    change(partial, name, lambda table: table.iloc[:0])
    empty = trial_section(partial, "")
    (partial.path / name).unlink()
    missing = trial_section(partial, "")
    sizes = [(len(found.sentences), len(found.pictures), len(found.tables)) for found in (section, empty, missing)]
    assert sizes[1] == sizes[2] != sizes[0]


def test_a_table_without_a_column_is_refused(make_run):
    run = make_run("compare")
    change(run, "differences.tsv", lambda table: table.drop(columns="reference"))
    with pytest.raises(DataError, match=r"differences.tsv.*expected also \['reference'\].*`compare`"):
        trial_section(run, "")


def test_a_folder_with_neither_table_has_nothing_to_say(make_run):
    run = make_run("compare")
    for name in ("cells.tsv", "maskers.tsv", "differences.tsv"):
        (run.path / name).unlink()
    section = trial_section(run, "Trial of masking")
    assert (section.sentences, section.parts, trial_summary(run)) == ([], [], [])
