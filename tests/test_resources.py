import pytest

from fmrifm.resources import resource


def test_tables_and_recipes_are_found():
    assert resource("atlases", "aal3", "regions.tsv").is_file()
    assert resource("pipelines").is_dir()


def test_what_is_missing_is_named():
    with pytest.raises(FileNotFoundError, match=r"pipelines/absent\.yaml is missing from this installation"):
        resource("pipelines", "absent.yaml")
