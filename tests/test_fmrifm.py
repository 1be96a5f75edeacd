"""The package's own names: there at once, imported when they are asked for."""

import subprocess
import sys

import pytest

import fmrifm


def test_importing_the_package_loads_neither_pytorch_nor_scikit_learn_nor_the_hub() -> None:
    code = "import sys, fmrifm; sys.exit(bool({'torch', 'sklearn', 'huggingface_hub'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", fmrifm.__all__)
def test_every_name_can_be_completed_and_had(name: str) -> None:
    assert name in dir(fmrifm)
    assert getattr(fmrifm, name).__doc__


def test_another_name_is_missed_as_in_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'fmrifm' has no attribute 'Embeder'"):
        fmrifm.Embeder  # noqa: B018
