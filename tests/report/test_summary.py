import json

import pandas as pd

from fmrifm.report.summary import alarms, banners, summary


def test_scores_stand_beside_the_best_baseline_and_those_without_an_image(make_run):
    score, simple = summary([make_run("evaluate")])
    assert "an AUC of 0.91 (95 % interval 0.86 to 0.96, n = 30, permutation p = 0.004)" in score
    assert "no better than the best baseline, connectome (correlation), at 0.84 (0.79 to 0.89)." in score
    assert simple.startswith("It is better than phenotype alone, 0.61 (0.56 to 0.66), better than site alone, 0.58")


def test_what_needs_no_brain_signal_is_said_first_where_it_does_as_well(make_run):
    # The paired interval is 0.08 to each side, so 0.64 beats neither phenotype (0.61), site (0.58) nor random weights.
    simple, untrained, score, *rest = summary([make_run("evaluate", auc=0.64)])
    assert simple == (
        "The classifier's AUC of 0.64 is no better than what phenotype alone (0.61), site alone (0.58) and head motion "
        "alone (0.56) reach without any brain signal."
    )
    assert "encoder at random initialisation (0.60): pretraining added nothing" in untrained
    assert score.startswith("The classifier reaches")
    assert "worse than the best baseline" in score
    assert rest == []
    one, *_ = summary([make_run("evaluate", "higher", auc=0.68)])
    assert "what phenotype alone (0.61) reaches without" in one


def test_older_folders_are_judged_by_intervals_that_overlap_and_after_the_score(make_run):
    score, simple = summary([make_run("evaluate", auc=0.67, old=True)])
    assert score.startswith("The classifier reaches")
    assert simple == (
        "It is no better than phenotype alone, 0.61 (0.56 to 0.66), no better than site alone, 0.58 (0.53 to 0.63) and "
        "better than head motion alone, 0.56 (0.51 to 0.61)."
    )


def test_the_trial_of_masking_is_told_by_classification_then_by_reconstruction(make_run):
    outcome, idle, reconstruction = summary([make_run("compare")])
    assert outcome.startswith("Trial of masking: by AUC, region (+0.090, 0.040 to 0.140, p = 0.030) is better than ")
    assert "no difference from random is shown for tube. With 30 subjects and 6 pairs of cells" in outcome
    assert "not shown to be worse than random (−0.020, −0.070 to 0.030" in idle
    assert "by R² of voxels under random masks, region (−0.090, " in reconstruction
    assert "is worse than random" in reconstruction


def test_leading_systems_and_regions_are_named(make_run):
    occlusion, fidelity, *_ = summary([make_run("attribute")])
    assert occlusion.startswith("By occlusion, Limbic and Cerebellum lead among systems and ")
    assert "3 have p < 0.05 (FDR)." in occlusion
    assert fidelity.startswith("By fidelity, ")
    assert "none has p < 0.05 (FDR), so the order may be chance" in fidelity


def test_checks_say_whether_to_believe_the_ranking(make_run):
    *_, occlusion, fidelity = summary([make_run("attribute")])
    assert occlusion.startswith("No check speaks against occlusion's ranking")
    assert fidelity.startswith("No check speaks against fidelity's ranking")
    assert not any("check" in sentence for sentence in summary([make_run("attribute", "older", old=True)]))


def test_without_p_values_nothing_is_said_of_them(make_run):
    run = make_run("attribute")
    for name in ("regions.tsv", "systems.tsv"):
        pd.read_csv(run.path / name, sep="\t").assign(p_fdr=None).to_csv(run.path / name, sep="\t", index=False)
    assert not any("FDR" in sentence for sentence in summary([run]))


def test_reconstruction_is_judged_against_the_trivial_predictor(make_run):
    assert summary([make_run("pretrain")]) == [
        "Hidden voxels of held-out subjects are reconstructed with R² 0.31 (95 % interval 0.29 to 0.33, n = 30): "
        "better than the trivial 0."
    ]


def test_runs_of_one_stage_are_told_apart_by_name(make_run):
    runs = [make_run("pretrain", name) for name in ("random", "region")]
    assert [sentence.split(":")[0] for sentence in summary(runs)] == ["random", "region"]


def test_synthetic_scans_and_an_approximate_atlas_are_announced(make_run):
    assert [words for words, _ in banners([make_run("pretrain")])] == ["Synthetic cohort.", "AAL3 approximation."]
    assert banners([make_run("pretrain", "real", synthetic=False, atlas="AAL3")]) == []


def test_alarms_gather_leaks_high_scores_and_mixed_stores(make_run):
    run = make_run("evaluate", leakage=("Labels follow site.",), synthetic=False)
    other = make_run("pretrain", synthetic=False)
    changed = {**other.provenance, "store_fingerprint": "other"}
    (other.path / "provenance.json").write_text(json.dumps(changed))
    object.__setattr__(other, "provenance", changed)
    high, leak, mixed = alarms([run, other])
    assert leak == "Labels follow site."
    assert "leak until shown otherwise" in high
    assert "2 different stores" in mixed
