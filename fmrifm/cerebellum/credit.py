"""Credit in time: how a recurrent head over the frames of long scans learns in constant memory.

`full` keeps the graph of the whole scan. `gradcache` gives the same gradient and keeps that of one stretch (Gao et al.
2021, arXiv:2101.06983): the frames are embedded without a graph, the head is taken back over the embeddings, and the
encoder stretch by stretch, at the price of a second pass. `tbptt` cuts the graph at the end of each stretch;
`tbptt_dense` asks for the label there too; `tbptt_sg` lets a synthesiser tell what the future would say. The last is
for frames that are seen once: where a scan can be replayed, gradient caching is exact.

Axes: B scans, S frames, E numbers of an embedding, H hidden units, D = 2 H numbers of the state.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from fmrifm.cerebellum.interfaces import BackwardInterface
from fmrifm.cerebellum.saved import counted_bytes
from fmrifm.cerebellum.synthesiser import Synthesiser
from fmrifm.config import Credit
from fmrifm.model.recurrent import Recurrence

Encoder = Callable[[Tensor], Tensor]
"""Embeds frames (B, T, ...) to (B, T, E)."""
Lost = Callable[[Tensor], Tensor]
"""What is lost at a state (B, D)."""


class CreditReport(NamedTuple):
    """What a backward pass did."""

    loss: float
    """Cross-entropy at the end of the scans."""
    peak_saved_bytes: int
    """Most bytes that autograd kept at a time."""
    segments: int


class ScanHead(nn.Module):
    """A recurrence over the embeddings of a scan's frames, and what reads the label at its end.

    Args:
        recurrence: Takes E numbers a frame.
        read: Outputs (B, H) to logits (B, C).
    """

    def __init__(self, recurrence: Recurrence, read: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.recurrence = recurrence
        self.read = read

    def forward(self, state: Tensor) -> Tensor:
        """Logits of the labels by the state (B, D)."""
        return self.read(self.recurrence.output(state))


def scan_backward(
    encoder: Encoder,
    head: ScanHead,
    frames: Tensor,
    there: Tensor,
    label: Tensor,
    credit: Credit = "gradcache",
    *,
    weight: Tensor | None = None,
    horizon: int = 8,
    synthesiser: Synthesiser | None = None,
    alpha: float = 1.0,
) -> CreditReport:
    """Add the gradients of the mean cross-entropy to the parameters' `grad`.

    Args:
        encoder: Frames (B, T, ...) to embeddings (B, T, E); it may have nothing to learn.
        head: Reads them.
        frames: Shape (B, S, ...).
        there: True where a scan has the frame, shape (B, S); the others neither move the state nor make a target.
        label: Shape (B,).
        credit: How credit is given.
        weight: Of each scan, shape (B,); all weigh 1 by default.
        horizon: Frames of a stretch.
        synthesiser: Of `tbptt_sg`; gradients of its own loss are added to its parameters. With a context of labels and
            one number more it is told the label and how much of the scan is over, both known in training alone.
        alpha: Share of the synthesiser's word that is taken.

    Raises:
        ValueError: `tbptt_sg` without a synthesiser.
    """
    spans = [slice(first, first + horizon) for first in range(0, frames.shape[1], horizon)]

    def lost(state: Tensor) -> Tensor:
        each = cross_entropy(head(state), label, reduction="none")
        return (each if weight is None else each * weight).mean()

    with counted_bytes() as peak:
        if credit == "full":
            loss = _full(encoder, head, frames, there, lost)
        elif credit == "gradcache":
            loss = _cached(encoder, head, frames, there, lost, spans)
        elif credit == "tbptt_sg" and synthesiser is None:
            raise ValueError("tbptt_sg needs a synthesiser")
        else:
            interface = BackwardInterface(synthesiser, alpha) if synthesiser and credit == "tbptt_sg" else None
            loss = _truncated(encoder, head, frames, there, lost, spans, credit == "tbptt_dense", interface, label)
    return CreditReport(loss, peak.bytes, len(spans))


def _full(encoder: Encoder, head: ScanHead, frames: Tensor, there: Tensor, lost: Lost) -> float:
    loss = lost(head.recurrence.step(encoder(frames), head.recurrence.start(len(frames)), there))
    loss.backward()
    return float(loss.detach())


def _cached(
    encoder: Encoder, head: ScanHead, frames: Tensor, there: Tensor, lost: Lost, spans: list[slice]
) -> float:  # fmt: skip
    """Embed without a graph, take the head's stretches back from the last, then the encoder's."""
    with torch.no_grad():
        cache = torch.cat([encoder(frames[:, span]) for span in spans], dim=1)
        states = [head.recurrence.start(len(frames))]
        for span in spans:
            states.append(head.recurrence.step(cache[:, span], states[-1], there[:, span]))
    loss, back = 0.0, torch.zeros_like(states[-1])
    for number in reversed(range(len(spans))):
        span = spans[number]
        state, leaf = states[number].requires_grad_(), cache[:, span].clone().requires_grad_()
        after = head.recurrence.step(leaf, state, there[:, span])
        if number == len(spans) - 1:
            asked = lost(after)
            loss = float(asked.detach())
            asked.backward()
        else:
            after.backward(back)
        back = _grad(state)
        again = encoder(frames[:, span])
        if again.requires_grad:
            again.backward(_grad(leaf))
    return loss


def _truncated(
    encoder: Encoder, head: ScanHead, frames: Tensor, there: Tensor, lost: Lost, spans: list[slice],
    dense: bool, interface: BackwardInterface | None, label: Tensor,
) -> float:  # fmt: skip
    """Stretch by stretch; the state crosses a boundary by its value alone."""
    state, loss = head.recurrence.start(len(frames)), 0.0
    for span in spans:
        is_last = span is spans[-1]
        inside = state.detach().requires_grad_()
        with torch.set_grad_enabled(is_last or dense or interface is not None):
            state = head.recurrence.step(encoder(frames[:, span]), inside, there[:, span])
        if not state.requires_grad:  # nothing is asked of this stretch
            continue
        objective = state.new_zeros(())
        if is_last or dense:
            asked = lost(state)
            objective = objective + (asked / len(spans) if dense else asked)
            loss = float(asked.detach())
        if interface is not None and not is_last:  # after the last stretch there is no future to lose
            told = _told(interface.synthesiser, state, label, span.stop, frames.shape[1])
            objective = objective + interface(state, told)
        objective.backward()
        if interface is not None and span.start > 0:
            told = _told(interface.synthesiser, inside, label, span.start, frames.shape[1])
            interface.loss(inside, _grad(inside), told).backward()
    return loss


def _told(synthesiser: Synthesiser, state: Tensor, label: Tensor, frame: int, frames: int) -> Tensor | None:
    """The label, one-hot, and how much of the scan is over, where the synthesiser hears as much, shape (B, C)."""
    classes = synthesiser.mossy.in_features - state.shape[1] - 1
    if classes < 1:
        return None
    over = state.new_full((len(state), 1), frame / frames)
    return torch.cat([one_hot(label, classes).to(state), over], dim=1)


def _grad(leaf: Tensor) -> Tensor:
    return cast("Tensor", leaf.grad)  # it was part of what was taken back
