import pytest

from fmrifm.report.provenance import duration, provenance_section


@pytest.mark.parametrize(("seconds", "text"), [(4.4, "4 s"), (83, "1 min 23 s"), (7384, "2 h 3 min")])
def test_durations_show_two_units(seconds, text):
    assert duration(seconds) == text


def test_commands_settings_and_versions_are_there(chain):
    section = provenance_section(chain)
    redo, *recipes = section.codes
    assert redo.text.splitlines()[:2] == [
        "fmrifm info planted.zarr",
        "fmrifm pretrain --store planted.zarr --out runs/pretrain",
    ]
    assert redo.text.splitlines()[-1] == (
        "fmrifm report --run runs/pretrain --run runs/finetune --run runs/evaluate --run runs/compare "
        "--run runs/attribute --out report.html"
    )
    assert len(redo.text.splitlines()) - 2 == len(recipes) == 5
    stages, versions = section.tables
    assert stages.rows[0][:5] == ["pretrain", "pretrain", "1 min 23 s", "2026-01-02T03:04:05", "cpu"]
    assert ["torch", "2.9.0"] in versions.rows


def test_commands_stand_in_the_order_in_which_they_ran(make_run):
    later, earlier = make_run("pretrain", "a"), make_run("finetune", "b")
    object.__setattr__(earlier, "provenance", {**earlier.provenance, "started": "2025-12-31T23:59:59"})
    lines = provenance_section([later, earlier]).codes[0].text.splitlines()
    assert [line.split()[1] for line in lines] == ["info", "finetune", "pretrain", "report"]


def test_a_store_that_was_called_by_two_paths_is_shown_once(make_run):
    one, two = make_run("pretrain", "a"), make_run("finetune", "b")
    object.__setattr__(two, "provenance", {**two.provenance, "store": "../elsewhere/planted.zarr"})
    lines = provenance_section([one, two]).codes[0].text.splitlines()
    assert [line for line in lines if line.startswith("fmrifm info")] == ["fmrifm info planted.zarr"]


def test_names_with_blanks_are_quoted_and_a_command_without_out_is_called_by_its_folder(make_run):
    run = make_run("pretrain", "my run")
    object.__setattr__(run, "provenance", {**run.provenance, "command": "fmrifm pretrain --config 'a b.yaml'"})
    assert provenance_section([run]).codes[0].text.splitlines()[-1] == (
        "fmrifm report --run 'my run' --out report.html"
    )  # fmt: skip


def test_it_says_that_this_is_no_diagnosis(chain):
    assert any("medical diagnosis" in sentence for sentence in provenance_section(chain).sentences)
