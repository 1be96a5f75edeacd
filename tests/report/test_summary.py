import json

import pandas as pd

from fmrifm.report.summary import alarms, banners, summary


def test_scores_stand_beside_the_best_baseline_and_those_without_an_image(make_run):
    words = " ".join(summary([make_run("evaluate")]))
    assert "an AUC of 0.91 (95 % interval 0.86 to 0.96, n = 30)" in words
    assert "no better than the best baseline, connectome, at 0.84 (0.79 to 0.89)." in words
    assert "It is better than phenotype alone, 0.61 (0.56 to 0.66) and better than site alone, 0.58" in words


def test_a_classifier_below_its_baselines_is_called_no_better(make_run):
    words = " ".join(summary([make_run("evaluate", auc=0.55)]))
    assert "better than" in words
    assert words.count("better than") == words.count("no better than")


def test_leading_systems_and_regions_are_named(make_run):
    fidelity, occlusion = summary([make_run("attribute")])
    assert "none has p < 0.05 (FDR), so the order may be chance" in fidelity
    assert occlusion.startswith("By occlusion, Limbic and Cerebellum lead among systems and ")
    assert "3 have p < 0.05 (FDR)." in occlusion


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
