import numpy as np
import pytest

from fmrifm.errors import DataError
from fmrifm.report.contribution_figures import system_matrix
from fmrifm.report.contributions import contributions_section


def test_the_one_planted_contribution_is_drawn_and_listed(make_run):
    section = contributions_section(make_run("attribute"))
    brain, systems = section.pictures
    assert "1 link; strongest: Hippocampus_L and Cerebellum_7_L 0.3" in brain.svg
    assert section.tables[0].rows == [["Cerebellum_7_L", "Hippocampus_L", "0.300", "0.020"]]
    # 36 pairs from cerebellum to limbic system, one of them 0.3.
    assert "the most: Limbic loses" in systems.svg
    assert "without Cerebellum" in systems.svg
    assert "Of 551 pairs that were seen, 0.2 % lie 2 standard errors above 0" in section.sentences[0]
    assert "hardly more than noise" in section.sentences[0]


def test_pairs_beyond_noise_are_said_to_be_there(make_run):
    run = make_run("attribute")
    with np.load(run.path / "contributions.npz") as stored:
        arrays = {**stored, "se": np.full((24, 24), 1e-5)}
    np.savez(run.path / "contributions.npz", **arrays)
    assert "more than noise" in contributions_section(run).sentences[0]


def test_an_atlas_without_coordinates_has_the_matrix_alone(make_run):
    run = make_run("attribute")
    with np.load(run.path / "contributions.npz") as stored:
        arrays = {**stored, "index": stored["index"] + 1000}
    np.savez(run.path / "contributions.npz", **arrays)
    for name in ("regions.tsv",):
        lines = (run.path / name).read_text().splitlines()
        moved = [lines[0]] + [f"{int(line.split(chr(9))[0]) + 1000}\t{line.split(chr(9), 1)[1]}" for line in lines[1:]]
        (run.path / name).write_text("\n".join(moved) + "\n")
    assert [picture.caption.split()[0] for picture in contributions_section(run).pictures] == ["What"]


def test_damaged_files_say_what_to_do(make_run):
    run = make_run("attribute")
    np.savez(run.path / "contributions.npz", index=np.arange(3))
    with pytest.raises(DataError, match=r"expected also .*contribution.*Run attribute again"):
        contributions_section(run)
    np.savez(run.path / "contributions.npz", index=np.array([999]), contribution=np.ones((1, 1)), se=np.ones((1, 1)))
    with pytest.raises(DataError, match=r"regions \[999\] are not in regions.tsv"):
        contributions_section(run)


def test_without_the_file_there_is_no_part(make_run):
    assert contributions_section(make_run("attribute", old=True)) is None


def test_the_matrix_is_read_from_row_to_column_in_thousandths():
    drawn = system_matrix(np.array([[0.001, 0.006], [-0.002, 0.0]]), ["Limbic", "Frontal"])
    assert "Frontal loses 6.0 without Limbic. Rows: Limbic 1.0, 6.0; Frontal −2.0, 0.0." in drawn.svg
