import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fmrifm.report.classification import classification_section, held_out, same_predictions, too_good, warnings


def test_every_model_is_a_row_and_the_last_column_judges(make_run):
    (table,) = classification_section(make_run("evaluate"), "Classification").tables
    verdicts = {row[0]: row[-1] for row in table.rows}
    assert verdicts == {
        "this classifier": "–",
        "majority": "better",
        "site": "better",
        "phenotype": "better",
        "connectome": "no better",
    }
    assert table.columns == ["model", "Balanced accuracy", "AUC", "Sensitivity", "Specificity", "classifier is"]
    assert table.rows[0][2] == "0.91 (0.86 to 0.96)"


def test_there_is_a_dot_plot_for_every_metric_and_one_roc_curve(make_run):
    pictures = classification_section(make_run("evaluate"), "").pictures
    assert ["ROC" in picture.svg for picture in pictures] == [False] * 4 + [True]


def test_folds_are_counted(make_run):
    assert (
        "3 folds by subject, 9 to 12 subjects tested in each"
        in classification_section(make_run("evaluate"), "").sentences[0]
    )


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
    assert len(classification_section(run, "").pictures) == 4
    (run.path / "predictions.tsv").unlink()
    assert len(classification_section(run, "").pictures) == 4


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
