import pytest

from fmrifm.errors import ConfigError
from fmrifm.training.trainer import make_trainer

QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}


def test_what_is_asked_for_wins_and_none_keeps_the_default():
    trainer = make_trainer({**QUIET, "max_epochs": 3, "max_steps": None}, max_epochs=7, max_steps=5)
    assert (trainer.max_epochs, trainer.max_steps) == (3, 5)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"accelerator": "abacus"}, "abacus"),
        ({"strategy": "hope"}, "invalid strategy name"),
        ({"speed": 9}, "unexpected keyword argument 'speed'"),
    ],
)
def test_what_lightning_refuses_is_an_error_of_the_settings(asked, said):
    with pytest.raises(ConfigError, match=f"trainer: .*{said}.* Mend the settings trainer.NAME"):
        make_trainer({**QUIET, **asked})


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_weights_of_16_bits_are_refused(precision):
    with pytest.raises(ConfigError, match=f"trainer.precision is {precision}: .* Set bf16-mixed"):
        make_trainer({**QUIET, "precision": precision})
