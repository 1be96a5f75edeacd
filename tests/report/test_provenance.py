import pytest

from fmrifm.report.provenance import duration, provenance_section


@pytest.mark.parametrize(("seconds", "text"), [(4.4, "4 s"), (83, "1 min 23 s"), (7384, "2 h 3 min")])
def test_durations_show_two_units(seconds, text):
    assert duration(seconds) == text


def test_commands_settings_and_versions_are_there(chain):
    section = provenance_section(chain)
    redo, *recipes = section.codes
    assert redo.text.splitlines()[0] == "fmrifm pretrain --store planted.zarr --out runs/pretrain"
    assert len(redo.text.splitlines()) == len(recipes) == 5
    stages, versions = section.tables
    assert stages.rows[0][:5] == ["pretrain", "pretrain", "1 min 23 s", "2026-01-02T03:04:05", "cpu"]
    assert ["torch", "2.9.0"] in versions.rows


def test_it_says_that_this_is_no_diagnosis(chain):
    assert any("medical diagnosis" in sentence for sentence in provenance_section(chain).sentences)
