from fmrifm.report.training import training_section


def test_a_pretraining_shows_curves_scores_and_a_volume(make_run):
    section = training_section(make_run("pretrain"), "Pretraining")
    loss, skill, course, volume = section.pictures
    assert "training from" in loss.svg
    assert "validation from" in loss.svg
    assert "region means from" in skill.svg
    assert course.caption.startswith("Hippocampus_L in a held-out scan")
    assert volume.wide
    assert section.tables[0].rows[0] == ["model", "R² of hidden voxels", "0.31 (0.29 to 0.33)", "30"]


def test_rows_that_lack_a_value_are_left_out_of_its_curve(make_run):
    run = make_run("pretrain")
    (run.path / "logs" / "metrics.csv").write_text("step,val/loss,train/loss\n1,,0.9\n2,0.8,\n3,,0.7\n")
    loss = training_section(run, "").pictures[0]
    assert "training from 0.9 to 0.7; validation from 0.8 to 0.8" in loss.svg


def test_a_run_that_stopped_early_shows_what_it_has(make_run):
    run = make_run("pretrain")
    (run.path / "reconstruction.npz").unlink()
    (run.path / "time_course.npz").unlink()
    (run.path / "logs" / "metrics.csv").unlink()
    (run.path / "metrics.json").unlink()
    section = training_section(run, "Pretraining")
    assert (len(section.pictures), len(section.tables)) == (0, 0)
