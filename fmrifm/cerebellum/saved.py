"""How many bytes autograd keeps for a backward pass."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks


class Peak:
    """Bytes that autograd keeps, and the most that it kept."""

    now = 0
    bytes = 0


@contextmanager
def counted_bytes() -> Iterator[Peak]:
    """Count the bytes of tensors that autograd saves for backward passes, while they are alive."""
    peak = Peak()

    class Saved:
        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor
            self.size = 0 if isinstance(tensor, nn.Parameter) else tensor.nelement() * tensor.element_size()
            peak.now += self.size
            peak.bytes = max(peak.bytes, peak.now)

        def __del__(self) -> None:
            peak.now -= self.size

    with saved_tensors_hooks(Saved, lambda saved: saved.tensor):
        yield peak
