import pytest

from fmrifm.training.files import whole


def test_a_file_appears_when_it_is_complete_and_the_one_before_is_kept(tmp_path):
    path, before = tmp_path / "state", tmp_path / "before"
    for content in ("first", "second"):
        with whole(path, before) as partial:
            partial.write_text(content)
            assert path.exists() == (content == "second")
    assert (path.read_text(), before.read_text()) == ("second", "first")
    assert sorted(tmp_path.iterdir()) == [before, path]


def test_what_was_there_stays_where_writing_fails(tmp_path):
    path = tmp_path / "state"
    path.write_text("first")
    with pytest.raises(LookupError), whole(path, tmp_path / "before") as partial:
        partial.write_text({}["sec"])
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]
