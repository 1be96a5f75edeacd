import numpy as np
import pandas as pd
import pytest

from fmrifm.evaluation.risks import leakage_risks


def cohort(per_site: int = 40, **columns: object) -> pd.DataFrame:
    """Two sites with as many subjects each, half of them cases; nothing differs between sites or labels."""
    rng, n = np.random.default_rng(0), 2 * per_site
    table = {
        "scan": [f"s{number:03d}_1" for number in range(n)],
        "subject": [f"s{number:03d}" for number in range(n)],
        "site": ["north"] * per_site + ["south"] * per_site,
        "dx": [0, 1] * per_site,
        "tr_s": 2.0,
        "mean_fd": np.tile(np.repeat(rng.uniform(0.1, 0.3, per_site // 2), 2), 2),
        "sha256": [f"{number:064x}" for number in range(n)],
        "signature": [f"{code:016x}" for code in rng.integers(0, 2**64, n, dtype=np.uint64)],
    }
    return pd.DataFrame({**table, **columns})


def flipped(signature: str, *bits: int) -> str:
    return f"{int(signature, 16) ^ sum(1 << bit for bit in bits):016x}"


def test_a_clean_cohort_is_silent() -> None:
    assert leakage_risks(cohort()) == []
    assert leakage_risks(cohort()[["scan", "subject", "site"]], targets=("dx", "smoker")) == []
    assert leakage_risks(cohort().assign(site=None)) == []


def test_equal_bytes_under_two_subjects_are_told_once_and_named() -> None:
    scans = cohort()
    scans.loc[7, ["sha256", "signature"]] = scans.loc[3, ["sha256", "signature"]]
    (sentence,) = leakage_risks(scans)
    assert sentence.startswith("2 scans under different subject identifiers hold the same bytes: s003_1 = s007_1.")


@pytest.mark.parametrize(("bits", "told"), [((), True), ((0, 17, 63), True), ((0, 17, 33, 63), False)])
def test_signatures_count_as_the_same_signal_up_to_three_bits(bits: tuple[int, ...], told: bool) -> None:
    scans = cohort()
    scans.loc[70, "signature"] = flipped(scans.loc[3, "signature"], *bits)
    sentences = leakage_risks(scans)
    assert len(sentences) == told
    assert all("nearly the same signal: s003_1 = s070_1." in sentence for sentence in sentences)


def test_one_subject_may_hold_the_same_scan_twice() -> None:
    scans = cohort()
    columns = ["subject", "sha256", "signature", "dx"]
    scans.loc[8, columns] = scans.loc[3, columns]
    assert leakage_risks(scans) == []


def test_scans_without_a_signature_are_not_the_same_signal() -> None:
    scans = cohort()
    scans.loc[[3, 8], ["signature", "sha256"]] = None
    assert leakage_risks(scans) == []


def test_a_subject_at_two_sites_is_named_with_both() -> None:
    scans = cohort()
    scans.loc[79, "subject"] = "s001"
    (sentence,) = leakage_risks(scans)
    assert sentence.startswith("1 of 79 subject identifiers occur at more than one site: s001 (north, south).")


def test_a_label_that_the_site_predicts_is_told_with_its_shares() -> None:
    (sentence,) = leakage_risks(cohort(dx=[1] * 30 + [0] * 10 + [1] * 10 + [0] * 30))
    assert sentence.startswith("Site alone predicts dx (p < 0.001, chi-squared over 80 subjects).")
    assert "dx 1: 75% of 40 at north, 25% of 40 at south; the largest difference is 50 points." in sentence


def test_a_label_of_several_classes_is_told_by_the_class_that_differs_most() -> None:
    kinds = ["a"] * 15 + ["b"] * 10 + ["c"] * 15 + ["a"] * 1 + ["b"] * 11 + ["c"] * 28
    (sentence,) = leakage_risks(cohort(kind=kinds), targets=("kind",))
    assert "Subjects with kind a: 38% of 40 at north, 2% of 40 at south" in sentence


def test_sites_are_compared_by_subject_not_by_scan() -> None:
    scans = cohort(per_site=4, dx=[0, 1, 1, 1, 0, 0, 0, 1])
    assert leakage_risks(pd.concat([scans] * 20, ignore_index=True)) == []


@pytest.mark.parametrize(("column", "told"), [("tr_s", "Repetition time (tr_s)"), ("mean_fd", "Head motion (mean_fd)")])
def test_what_a_scanner_or_motion_predicts_is_told_with_its_auc(column: str, told: str) -> None:
    # Of cases 3 in 4 have 2.5 and the rest 2, of controls 1 in 4: AUC = 9/16 + (3/16 + 3/16) / 2 = .75.
    scans = cohort()
    values = [2.5 if (number // 2) % 4 < (3 if number % 2 else 1) else 2.0 for number in range(80)]
    (sentence,) = leakage_risks(scans.assign(**{column: values}))
    assert sentence.startswith(f"{told} alone predicts dx: AUC 0.75 for dx 1 (p < 0.001")
    assert "medians 2.5 against 2 for dx 0." in sentence


def test_subjects_without_a_label_or_measure_are_left_out() -> None:
    scans = cohort(mean_fd=[0.1, 0.5] * 40)
    scans.loc[scans.index >= 4, "mean_fd"] = None
    assert leakage_risks(scans) == []
    scans = cohort(dx=[1] * 30 + [None] * 20 + [0] * 30)
    assert "over 60 subjects" in leakage_risks(scans)[0]
