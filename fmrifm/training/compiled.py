"""Compiles the blocks of a network in place, where this machine can."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from torch import Tensor, fx
from torch._dynamo import lookup_backend
from torch._dynamo.exc import RestartAnalysis

from fmrifm.model.mae import MaskedAutoencoder


def compile_blocks(model: MaskedAutoencoder, backend: str = "inductor") -> None:
    """Compile the transformer blocks; what cannot be compiled runs as it is, and one sentence says so.

    Blocks of one kind share their code, whatever the number of tokens, so that a deep network compiles as fast as a
    shallow one. Names in the state dict stay as they are.

    Args:
        model: Is changed in place.
        backend: Name of a backend of `torch.compile`.
    """
    or_plain = _OrPlain(backend)
    try:
        for block in model.blocks:
            block.compile(backend=or_plain, dynamic=True)
    except RuntimeError as error:  # no torch.compile at all, e.g. on a Python that is too new for it
        or_plain.say(error)


class _OrPlain:
    """A backend that gives a graph back as it is where another one fails."""

    def __init__(self, backend: str) -> None:
        self.compile = lookup_backend(backend)
        self.said = False

    def __call__(self, graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        try:
            return self.compile(graph, inputs)
        except RestartAnalysis:  # no failure: the compiler traces the graph once more
            raise
        except Exception as error:  # each backend, compiler and operating system fails in its own way
            self.say(error)
            return graph.forward

    @rank_zero_only
    def say(self, error: Exception) -> None:
        if not self.said:
            self.said = True
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            Console(stderr=True, highlight=False, soft_wrap=True).print(
                f"model.compile: this machine cannot compile the model ({why}), so it runs uncompiled.", markup=False
            )
