import json
import re
from pathlib import Path

import pytest
import yaml

import fmrifm


@pytest.fixture
def evaluated(tmp_path: Path) -> Path:
    """As much as a card reads of a run of `fmrifm evaluate`."""
    folder = tmp_path / "evaluated"
    folder.mkdir()
    auc = {"value": 0.625, "ci_low": 0.5, "ci_high": 0.75, "n": 12, "p": 0.25}
    nothing = {"value": None, "ci_low": None, "ci_high": None, "n": 12}
    content = {"scores": {"auc": auc, "brier": nothing}, "baselines": {"site": {"auc": auc | {"value": 0.5625}}}}
    leakage = ["3 of 12 test subjects were in the pretraining set."]
    (folder / "metrics.json").write_text(json.dumps({**content, "folds": [], "leakage": leakage}))
    made = {"command": "fmrifm evaluate --out scores", "versions": {"fmrifm": "9.8.7"}, "seed": 3, "git_commit": None}
    made |= {"store_fingerprint": "abc", "started": "2026-01-02T03:04:05+00:00", "device": "cpu"}
    (folder / "provenance.json").write_text(json.dumps(made))
    return folder


@pytest.fixture
def card(finished_run: Path, evaluated: Path, tmp_path: Path) -> str:
    folder = fmrifm.publish(finished_run, tmp_path / "model", scored=[evaluated], licence="cc-by-nc-sa-4.0")
    return (folder / "README.md").read_text(encoding="utf-8")


def cohort_says(run: Path, **words: object) -> None:
    content = json.loads((run / "provenance.json").read_text())
    content["cohort"] |= words
    (run / "provenance.json").write_text(json.dumps(content))


def test_the_head_is_what_the_hub_reads(card: str) -> None:
    head = yaml.safe_load(card.split("---")[1])
    assert (head["license"], head["library_name"]) == ("cc-by-nc-sa-4.0", "fmrifm")
    assert "fMRI" in head["tags"]


def test_the_card_says_what_the_model_is_and_what_it_was_made_of(card: str, finished_run: Path) -> None:
    size = sum(weight.numel() for weight in fmrifm.from_pretrained(finished_run).model.parameters())
    for row in (
        f"| weights | {size:,} (width 24, 1 layers) |",
        "| grid | MNI152, 2 x 2 x 2 mm |",
        "| regions | 6 of AAL3 |",
        "| window | 8 volumes in patches of 4 |",
        "| masking | region, 75% of the voxels hidden |",
        "| cleaning | high_pass_hz 0.01 |",
        "| cohort | unnamed cohort |",
        "| scans | 13 of 12 subjects; the weights have seen 3 of them |",
        "| subjects by site | north 7, south 5 |",
        "| repetition times | 2 s, 2.5 s |",
    ):
        assert f"\n{row}\n" in card
    assert "The scans were generated, not measured" in card
    assert "arXiv:2511.00443" in card
    assert "Automated anatomical labelling atlas 3" in card
    assert "`fmrifm pretrain --config " in card


def test_scores_of_the_model_and_its_baselines_stand_with_their_intervals(card: str) -> None:
    rows = card.split("## Scores")[1].split("## Warnings")[0].splitlines()
    assert rows[4:8] == [
        "| R² of hidden voxels | this model | 0.250 (0.125 to 0.500) | 4 |",
        "| R² of hidden voxels | prior | 0.062 (-0.250 to 0.750) | 4 |",
        "| area under the ROC curve | this model | 0.625 (0.500 to 0.750) | 12 |",
        "| area under the ROC curve | site | 0.562 (0.500 to 0.750) | 12 |",
    ]
    assert rows[8] == "| brier | this model | undefined | 12 |"


def test_a_leak_that_was_found_is_a_warning(card: str) -> None:
    assert "## Warnings\n\n- **3 of 12 test subjects were in the pretraining set.**\n" in card


def test_every_run_behind_the_card_is_named_by_its_command(card: str) -> None:
    first, second = card.split("## Provenance\n\n")[1].splitlines()[:2]
    assert first.startswith("- `fmrifm pretrain --config ")
    assert second == (
        "- `fmrifm evaluate --out scores`: fmrifm 9.8.7, seed 3, commit unknown, store abc, 2026-01-02, cpu"
    )


def test_without_a_licence_the_publisher_is_told_to_name_one(finished_run: Path, tmp_path: Path) -> None:
    card = (fmrifm.publish(finished_run, tmp_path / "model") / "README.md").read_text(encoding="utf-8")
    assert "license: other\n" in card
    assert "names a licence that the terms of the scans allow" in card
    assert "## Warnings\n\nNo leak was found in these runs.\n" in card


def test_no_subject_is_named_on_the_card(card: str) -> None:
    assert not re.search(r"\bs\d\d", card)


def test_measured_scans_are_not_called_generated_and_planted_differences_are_told(
    finished_run: Path, tmp_path: Path
) -> None:
    cohort_says(finished_run, synthetic=False, planted=[3, 41])
    card = (fmrifm.publish(finished_run, tmp_path / "model") / "README.md").read_text(encoding="utf-8")
    assert "generated" not in card
    assert "A difference between the groups was planted in 2 regions" in card


def test_a_hostile_name_breaks_neither_the_table_nor_the_page(finished_run: Path, tmp_path: Path) -> None:
    cohort_says(finished_run, name="a | b\n---\n<script>alert(1)</script>")
    card = (fmrifm.publish(finished_run, tmp_path / "model") / "README.md").read_text(encoding="utf-8")
    assert "| cohort | a \\| b --- &lt;script&gt;alert(1)&lt;/script&gt; |\n" in card
