import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fmrifm.errors import DataError
from fmrifm.report.classification import classification_section, too_good, warnings
from fmrifm.report.predictions import held_out, same_predictions


@pytest.fixture(scope="module")
def section(chain):
    """The section of the chain's evaluate run; read only."""
    return classification_section(chain[2], "Classification")


def judged(section):
    return {row[0]: row[-1] for row in section.tables[0].rows}


def test_every_model_is_a_row_and_the_paired_difference_judges(make_run):
    section = classification_section(make_run("evaluate", auc=0.7), "Classification")
    table = section.tables[0]
    assert judged(section) == {
        "this classifier": "–",
        "majority class": "better",
        "site only": "better",
        "phenotype only": "better",
        "motion only": "better",
        "connectome, correlation": "worse",
        "encoder at random initialisation": "better",
    }
    assert table.columns[1:4] == ["AUC", "Balanced accuracy", "Average precision"]
    assert table.columns[-3:] == ["Brier score (lower is better)", "Site predictability", "classifier is"]
    assert table.rows[0][1] == "0.70 (0.65 to 0.75)"
    assert "paired difference" in table.caption


def test_without_differences_intervals_that_do_not_overlap_judge(make_run):
    section = classification_section(make_run("evaluate", auc=0.7, old=True), "")
    assert judged(section)["phenotype only"] == judged(section)["connectome, correlation"] == "no better"
    assert judged(section)["majority class"] == "better"
    assert len(section.tables) == 1
    assert "do not overlap" in section.tables[0].caption


def test_three_scores_a_roc_curve_and_the_calibration_are_drawn(section):
    captions = [picture.caption.split()[0] for picture in section.pictures]
    assert captions == ["AUC", "Balanced", "Average", "ROC", "Calibration"]


def test_the_calibration_stands_beside_that_of_the_best_baseline(section):
    calibration = section.pictures[-1].svg
    assert "this classifier: 0.10 came true 0.12, 0.30 came true 0.32" in calibration
    assert "connectome, correlation: 0.10 came true 0.00" in calibration
    assert "site only" not in calibration


def test_sites_have_their_prevalence_and_their_auc(section):
    sites = section.tables[-1]
    assert sites.rows[0] == ["Delta", "18", "6", "33 %", "0.92 (0.80 to 0.99)"]


def test_permutation_site_predictability_and_power_are_said(section):
    words = " ".join(section.sentences)
    assert "With labels shuffled within sites, AUC comes out as high with p = 0.004." in words
    assert "balanced accuracy of 0.80 (0.75 to 0.85); chance is 0.5 with 2 sites, so the features carry" in words
    assert "With 30 subjects and 3 folds, differences in AUC below 0.11 would have been missed" in words


def test_several_classes_are_drawn_without_a_roc_curve(make_run):
    run = make_run("evaluate")
    for table in ("calibration.tsv", "sites.tsv"):
        (run.path / table).unlink()
    predictions = pd.read_csv(run.path / "predictions.tsv", sep="\t")
    three = predictions.drop(columns=["probability", "threshold"]).assign(
        label=predictions.index % 3, probability_0=0.2, probability_1=0.3, probability_2=0.5
    )
    three.to_csv(run.path / "predictions.tsv", sep="\t", index=False)
    section = classification_section(run, "")
    assert [picture.caption.split()[0] for picture in section.pictures] == ["AUC", "Balanced", "Average"]
    assert "Dotted: chance, 0.33." in section.pictures[1].caption
    assert same_predictions(run, run)
    three.drop(columns=["probability_0", "probability_1", "probability_2"]).to_csv(
        run.path / "predictions.tsv", sep="\t", index=False
    )
    with pytest.raises(DataError, match="expected also probability, or probability_0"):
        held_out(run)


def test_repeats_are_counted_apart_from_folds_and_subjects_once(make_run):
    run = make_run("evaluate")
    folds = [{**fold, "fold": fold["fold"] + 3 * k, "repeat": k} for k in range(5) for fold in run.metrics["folds"]]
    run.metrics["folds"] = folds
    table = pd.read_csv(run.path / "predictions.tsv", sep="\t")
    table = pd.concat([table.assign(repeat=k, fold=table["fold"] + 3 * k) for k in range(5)])
    table.to_csv(run.path / "predictions.tsv", sep="\t", index=False)
    section = classification_section(run, "")
    assert "3 folds by subject, repeated 5 times, 9 to 12 subjects tested in each" in section.sentences[0]
    assert "ROC curve of 30 held-out subjects in 150 predictions" in section.pictures[3].caption
    assert same_predictions(run, run)


def test_folds_are_counted(section):
    assert "3 folds by subject, 9 to 12 subjects tested in each" in section.sentences[0]


@pytest.mark.parametrize(
    ("auc", "synthetic", "warned"), [(0.81, False, True), (0.8, False, False), (0.95, True, False)]
)
def test_a_high_auc_on_measured_scans_is_a_leak_until_shown_otherwise(make_run, auc, synthetic, warned):
    sentences = too_good(make_run("evaluate", auc=auc, synthetic=synthetic))
    assert ["leak until shown otherwise" in sentence for sentence in sentences] == [True] * warned


def test_a_warning_that_the_stage_gave_already_is_not_repeated(make_run):
    told = ("AUC 0.91 is above 0.8: on such data a leak until shown otherwise.", "Labels follow site.")
    long, site = warnings(make_run("evaluate", leakage=told, synthetic=False))
    assert "Look for subjects on both sides of a split" in long
    assert site == "Labels follow site."


def test_folds_on_different_scales_do_not_spoil_the_roc_curve(make_run):
    # Perfect within each fold, but the controls of the second fold outscore the cases of the first.
    run = make_run("evaluate")
    table = pd.read_csv(run.path / "predictions.tsv", sep="\t")
    table["probability"] = 0.1 * table["label"] + 0.4 * table["fold"]
    table.to_csv(run.path / "predictions.tsv", sep="\t", index=False)
    subjects = held_out(run)
    assert len(subjects) == 30
    assert roc_auc_score(table["label"], table["probability"]) < 0.8
    assert roc_auc_score(subjects["label"], subjects["rank"]) == 1


def test_a_run_with_one_label_or_no_predictions_has_no_roc_curve(make_run):
    run = make_run("evaluate")
    predictions = pd.read_csv(run.path / "predictions.tsv", sep="\t")
    predictions.assign(label=1).to_csv(run.path / "predictions.tsv", sep="\t", index=False)
    assert not any("ROC" in picture.caption for picture in classification_section(run, "").pictures)
    (run.path / "predictions.tsv").unlink()
    assert not any("ROC" in picture.caption for picture in classification_section(run, "").pictures)


def test_a_finetune_run_without_scores_still_shows_its_roc_curve(make_run):
    run = make_run("finetune")
    (run.path / "metrics.json").unlink()
    section = classification_section(run, "")
    assert (len(section.tables), len(section.pictures)) == (0, 1)


def test_predictions_are_compared_by_scan_whatever_their_order(make_run):
    first, second = make_run("finetune"), make_run("evaluate")
    table = pd.read_csv(second.path / "predictions.tsv", sep="\t")
    table[::-1].to_csv(second.path / "predictions.tsv", sep="\t", index=False)
    assert same_predictions(first, second)
    table.assign(probability=0.5).to_csv(second.path / "predictions.tsv", sep="\t", index=False)
    assert not same_predictions(first, second)
