import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from fmrifm.attribution.ranks import spearman_interval
from fmrifm.attribution.sanity import CHECK_COLUMNS, agreement, rank_check, size_checks, tsnr_check, verdicts

R = 60
VOXELS = np.random.default_rng(3).permutation(np.arange(1, R + 1))


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=R)


def checks(*rows: tuple, method: str = "occlusion") -> pd.DataFrame:
    """Rows of checks.tsv from (check, value), (check, value, low) or (check, value, low, other)."""
    table = pd.DataFrame([dict(zip(("check", "value", "low", "other"), row, strict=False)) for row in rows])
    return table.assign(method=method).reindex(columns=CHECK_COLUMNS)


def test_rows_are_those_of_checks_tsv_with_an_interval() -> None:
    first, second = noise(), noise(1)
    second[:4] = np.nan
    row = rank_check("occlusion", "randomised_weights", first, second, expected=0.0)
    rho = spearmanr(first[4:], second[4:]).statistic
    assert row.columns.tolist() == CHECK_COLUMNS
    assert row.iloc[0].tolist() == ["occlusion", "randomised_weights", "", rho, *spearman_interval(rho, R - 4), 0.0]


def test_a_ranking_that_is_only_size_is_said_so() -> None:
    """Every voxel scores about the same, so that totals are sizes and means are noise."""
    means = 1 + 0.1 * noise()
    table = size_checks("occlusion", means * VOXELS, means, VOXELS)
    assert table["check"].tolist() == ["size", "size_mean"]
    assert table["value"][:1].item() > 0.9
    assert table["expected"].isna().all()
    figure = f"{table['value'].iloc[0]:.2f}".lstrip("0")
    assert verdicts(table) == [
        f"Occlusion's ranking follows region size (Spearman {figure}): read the per-voxel column."
    ]


def test_what_is_not_size_is_not_called_so() -> None:
    table = size_checks("occlusion", noise() * VOXELS, noise(), VOXELS)
    assert verdicts(table) == ["No check speaks against occlusion's ranking (region size)."]


@pytest.mark.parametrize(
    ("rows", "end"),
    [
        (
            [("size", 0.93), ("size_mean", 0.2)],
            "ranking follows region size (Spearman .93): read the per-voxel column.",
        ),
        ([("size", 0.93)], "ranking follows region size (Spearman .93): compare regions of like size."),
        (
            [("size", 0.9), ("size_mean", -0.85)],
            "ranking follows region size (Spearman .90): its per-voxel column runs against it (Spearman -.85), "
            "and neither says more than size.",
        ),
        (
            [("size", 0.1), ("size_mean", -0.8)],
            "per-voxel column runs against region size (Spearman -.80): read the totals.",
        ),
        (
            [("tsnr", -1.0)],
            "ranking runs against the temporal signal-to-noise ratio (Spearman -1.00): "
            "it may show no more than signal quality.",
        ),
    ],
)
def test_a_ranking_of_something_simpler(rows: list[tuple], end: str) -> None:
    assert verdicts(checks(*rows)) == [f"Occlusion's {end}"]


def test_fidelity_has_one_row_of_size() -> None:
    assert size_checks("fidelity", noise(), None, VOXELS)["check"].tolist() == ["size"]


def test_a_ranking_by_signal_quality_is_said_so() -> None:
    tsnr = np.exp(noise(2))
    tsnr[3] = np.nan
    table = tsnr_check("fidelity", -1 / tsnr, tsnr)
    assert table["value"].item() == pytest.approx(1)
    assert verdicts(table) == [
        "Fidelity's ranking follows the temporal signal-to-noise ratio (Spearman 1.00): "
        "it may show no more than signal quality."
    ]


def test_what_survives_without_learning_is_doubted_gravest_first() -> None:
    table = checks(
        ("randomised_weights", 0.71), ("permuted_labels", 0.7), ("planted_randomised_weights", 0.8, 0.6),
        ("planted_permuted_labels", 0.9, np.nan), ("size", 0.85), method="integrated_gradients",
    )  # fmt: skip
    assert verdicts(table) == [
        "Integrated gradients' ranking finds the planted regions with permuted labels as well (AUC .90): "
        "do not trust it.",
        "Integrated gradients' ranking finds the planted regions with randomised weights as well (AUC .80): "
        "do not trust it.",
        "Integrated gradients' ranking changes little when the labels are permuted (Spearman .70): "
        "it does not show what tells the labels apart.",
        "Integrated gradients' ranking changes little when the weights are randomised (Spearman .71): "
        "it does not show what was learnt.",
        "Integrated gradients' ranking follows region size (Spearman .85): compare regions of like size.",
    ]


def test_what_chance_gives_is_no_reason_to_doubt() -> None:
    table = checks(
        ("randomised_weights", 0.4), ("permuted_labels", -0.9), ("planted_permuted_labels", 0.8, 0.45),
        ("planted_randomised_weights", 0.7, 0.6), ("deletion", 0.05, 0.01), ("insertion", 0.1), ("size", -0.5),
        ("completeness", 0.02),
    )  # fmt: skip
    assert verdicts(table) == [
        "No check speaks against occlusion's ranking (planted regions under random weights, planted regions under "
        "permuted labels, randomised weights, permuted labels, deletion, insertion, region size, completeness)."
    ]


def test_curves_no_better_than_random_are_doubted_by_their_interval() -> None:
    doubted = verdicts(checks(("deletion", 0.02, -0.01), ("insertion", -0.03, np.nan)))
    assert doubted == [
        "Silencing occlusion's leading regions costs the classifier no more than silencing random ones "
        "(area between the curves .02).",
        "Keeping only occlusion's leading regions serves the classifier no better than keeping random ones "
        "(area between the curves -.03).",
    ]


def test_scores_that_do_not_add_up_are_said_so() -> None:
    said = verdicts(checks(("completeness", 0.12), method="integrated_gradients"))
    assert said == [
        "Integrated gradients' scores miss up to 12% of a scan's log-odds: the path is walked too coarsely."
    ]


def test_every_two_methods_are_compared_over_what_both_know() -> None:
    rankings = {"occlusion": noise(), "integrated_gradients": noise() + 0.3 * noise(1), "fidelity": noise(2)}
    rankings["fidelity"][:30] = np.nan
    table = agreement(rankings)
    assert table[["method", "check", "other"]].to_numpy().tolist() == [
        ["occlusion", "agreement", "integrated_gradients"], ["occlusion", "agreement", "fidelity"],
        ["integrated_gradients", "agreement", "fidelity"],
    ]  # fmt: skip
    rho = spearmanr(rankings["occlusion"][30:], rankings["fidelity"][30:]).statistic
    assert table.iloc[1][["value", "low", "high"]].tolist() == [rho, *spearman_interval(rho, 30)]
    assert (table["low"] < table["value"]).all()
    assert agreement({"occlusion": noise()}).empty


def test_methods_of_one_question_agree_or_disagree() -> None:
    table = pd.concat(
        [
            checks(("agreement", 0.85, 0.8, "gradient_x_input"), method="integrated_gradients"),
            checks(("agreement", 0.05, -0.1, "integrated_gradients"), ("agreement", 0.5, 0.4, "gradient_x_input")),
            checks(("agreement", -0.4, -0.5, "connectome")),
            checks(("agreement", 0.0, -0.2, "occlusion"), method="fidelity"),
        ]
    )
    assert verdicts(table) == [
        "Methods agree on what tells the labels apart: integrated gradients with gradient x input (Spearman .85).",
        "Methods agree in part on what tells the labels apart: occlusion with gradient x input (Spearman .50).",
        "Methods disagree on what tells the labels apart: occlusion with integrated gradients (Spearman .05), "
        "occlusion with connectome (Spearman -.40).",
    ]


@pytest.mark.filterwarnings("error")
def test_checks_read_from_disk_and_without_a_value(tmp_path) -> None:
    table = pd.concat(
        [
            size_checks("occlusion", VOXELS * 1.0, np.ones(R), VOXELS),  # a constant column has no correlation
            tsnr_check("occlusion", noise(), np.full(R, np.nan)),
            agreement({"occlusion": noise(), "connectome": noise()}),
        ]
    )
    table.to_csv(tmp_path / "checks.tsv", sep="\t", index=False)
    said = verdicts(pd.read_csv(tmp_path / "checks.tsv", sep="\t"))
    assert said == verdicts(table)
    assert said == [
        "Occlusion's ranking follows region size (Spearman 1.00): compare regions of like size.",
        "Methods agree on what tells the labels apart: occlusion with connectome (Spearman 1.00).",
    ]
    assert verdicts(table.iloc[:0]) == []
