import copy
import shutil
from pathlib import Path

import pytest
import torch
from torch._inductor import config as inductor

from fmrifm.model.draws import draw_tokens
from fmrifm.model.losses import masked_mse
from fmrifm.model.mae import MaskedAutoencoder
from fmrifm.training.checkpoint import Pretrained
from fmrifm.training.compiled import compile_blocks

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script_method")  # the compiler's own


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing compiled before is found again."""
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))


def step(model: MaskedAutoencoder, windows: int) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of a step on noise."""
    generator = torch.Generator().manual_seed(windows)
    tokenizer = model.tokenizer
    signal = torch.randn(windows, tokenizer.window, tokenizer.voxels, generator=generator)
    hidden = torch.rand(windows, tokenizer.patches * len(tokenizer.region), generator=generator) < 0.6
    drawn = draw_tokens(hidden, generator)
    result = model(signal, torch.ones_like(signal[:, 0]) > 0, torch.full((windows,), 2.0), drawn)
    loss = masked_mse(result.prediction, result.target, result.weight)
    model.zero_grad()
    loss.backward()
    return loss.item(), {name: part.grad for name, part in model.named_parameters() if part.grad is not None}


def assert_same_steps(model: MaskedAutoencoder, compiled: MaskedAutoencoder) -> None:
    assert compiled.state_dict().keys() == model.state_dict().keys()
    for windows in (3, 2):  # each with another number of tokens
        (loss, gradients), (found, others) = step(model, windows), step(compiled, windows)
        assert found == pytest.approx(loss, rel=1e-5)
        for name, gradient in gradients.items():
            torch.testing.assert_close(others[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize(
    "backend", ["aot_eager", pytest.param("inductor", marks=[pytest.mark.slow, pytest.mark.skipif(
        shutil.which("c++") is None, reason="needs a C++ compiler")])]
)  # fmt: skip
def test_a_compiled_model_takes_the_same_steps_under_the_same_names(pretrained: Pretrained, backend, capsys) -> None:
    compile_blocks(compiled := copy.deepcopy(pretrained.model), backend)
    assert_same_steps(pretrained.model, compiled)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2  # one for all blocks of a kind
    assert capsys.readouterr().err == ""


@inductor.patch({"cpp.cxx": ("/nowhere/c++",)})
def test_without_a_compiler_it_says_so_once_and_trains_on(pretrained: Pretrained, capsys) -> None:
    compile_blocks(compiled := copy.deepcopy(pretrained.model))
    assert_same_steps(pretrained.model, compiled)
    said = capsys.readouterr().err
    assert said.startswith("model.compile: this machine cannot compile the model (")
    assert said.endswith("), so it runs uncompiled.\n")
    assert said.count("\n") == 1
