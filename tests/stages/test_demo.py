import pytest

from fmrifm.config import DemoConfig
from fmrifm.errors import ConfigError
from fmrifm.stages.demo import demo


def test_a_folder_that_holds_anything_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"not empty. Choose another --out, or remove it\."):
        demo(DemoConfig(out=str(tmp_path)))
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
