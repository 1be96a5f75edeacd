from fmrifm.report.regions import regions_section


def parts(run):
    return {part.title: part for part in regions_section(run, "Regions").parts}


def test_every_method_is_explained_and_the_parts_follow_from_ranking_to_tables(make_run):
    section = regions_section(make_run("attribute"), "Regions")
    assert [point.split()[0] for point in section.points] == [
        "Occlusion", "Integrated", "Gradient", "Connectome", "Fidelity", "Contribution", "Rollout"
    ]  # fmt: skip
    assert [part.title for part in section.parts] == [
        "Leading regions",
        "Can these rankings be trusted?",
        "Systems",
        "What regions give to each other",
        "Every region, method by method",
    ]


def test_the_classifier_first_then_the_reconstruction_then_all_methods_in_one_figure(make_run):
    classifier, reconstruction, together = parts(make_run("attribute"))["Leading regions"].pictures
    assert "The 20 leading of 24 regions by occlusion" in classifier.caption
    assert "Diamonds: planted, 3 of 3" in classifier.caption
    assert "by fidelity" in reconstruction.caption
    assert together.caption.startswith("Ranks of the 5 leading regions of every method")


def test_two_methods_need_no_figure_that_compares_them(make_run):
    found = parts(make_run("attribute", methods=("fidelity", "occlusion")))
    assert len(found["Leading regions"].pictures) == len(found["Systems"].pictures) == 2


def test_folders_of_older_versions_show_what_they_have(make_run):
    found = parts(make_run("attribute", old=True))
    assert list(found) == [
        "Leading regions", "Can these rankings be trusted?", "Systems", "Every region, method by method"
    ]  # fmt: skip
    (table,) = found["Can these rankings be trusted?"].tables
    assert table.rows == [["Occlusion", "0.97 (0.92 to 1.02)"], ["Fidelity", "–"]]


def test_without_a_plan_nothing_is_called_planted(make_run):
    found = parts(make_run("attribute", planted=None))
    assert not any("lanted" in picture.caption for picture in found["Leading regions"].pictures)
    assert "truth" not in found["Every region, method by method"].tables[0].columns


def test_a_run_without_tables_is_an_empty_section(make_run):
    run = make_run("attribute", old=True)
    for file in ("regions.tsv", "systems.tsv", "importance.nii.gz", "metrics.json"):
        (run.path / file).unlink()
    section = regions_section(run, "Regions")
    assert (len(section.pictures), len(section.parts), len(section.sentences)) == (0, 0, 0)
