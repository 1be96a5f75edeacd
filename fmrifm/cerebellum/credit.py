"""Credit in time: how a recurrent head over the frames of long scans learns in constant memory.

`full` keeps the graph of the whole scan. `gradcache` gives the same gradient and keeps that of one stretch (Gao et al.
2021, arXiv:2101.06983): the frames are embedded without a graph, the head is taken back over the embeddings, and the
encoder stretch by stretch, at the price of a second pass. `tbptt` cuts the graph at the end of each stretch;
`tbptt_dense` asks for the label there too; `tbptt_sg` lets a synthesiser tell what the future would say. The last is
for frames that are seen once: where a scan can be replayed, gradient caching is exact.

Axes: B scans, S frames, E numbers of an embedding, H hidden units, D = 2 H numbers of the state.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from fmrifm.cerebellum.saved import counted_bytes
from fmrifm.cerebellum.synthesiser import Synthesiser

Credit = Literal["full", "gradcache", "tbptt", "tbptt_dense", "tbptt_sg"]
_REMEMBERS = 2.0
"""Bias of the forget gates at first: a state fades over some eight frames."""
Encoder = Callable[[Tensor], Tensor]


class CreditReport(NamedTuple):
    """What a backward pass did."""

    loss: float
    """Cross-entropy at the end of the scans."""
    peak_saved_bytes: int
    """Most bytes that autograd kept at a time."""
    segments: int


class ScanHead(nn.Module):
    """An LSTM over the embeddings of a scan's frames, and a linear layer that reads the label at its end.

    Args:
        embed_dim: E.
        hidden: H.
        n_classes: Labels.
    """

    def __init__(self, embed_dim: int, hidden: int = 64, n_classes: int = 2) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(embed_dim, hidden)
        # Gates that forget at once learn no label of long ago (Jozefowicz et al. 2015, PMLR 37:2342).
        nn.init.constant_(self.cell.bias_ih[hidden : 2 * hidden], _REMEMBERS)
        self.read = nn.Linear(hidden, n_classes)

    def start(self, scans: int) -> Tensor:
        """The state before the first frame, shape (B, D)."""
        return self.read.weight.new_zeros(scans, 2 * self.cell.hidden_size)

    def step(self, embedding: Tensor, state: Tensor, there: Tensor) -> Tensor:
        """Take embeddings (B, T, E) in: the state (B, D) after them; frames that are not `there` (B, T) pass."""
        for frame, counts in zip(embedding.unbind(dim=1), there.unbind(dim=1), strict=True):
            h, c = self.cell(frame, tuple(state.chunk(2, dim=1)))
            state = torch.where(counts[:, None], torch.cat([h, c], dim=1), state)
        return state

    def forward(self, state: Tensor) -> Tensor:
        """Logits of the labels by the state (B, D)."""
        return self.read(state[:, : self.cell.hidden_size])


def scan_backward(
    encoder: Encoder,
    head: ScanHead,
    frames: Tensor,
    there: Tensor,
    label: Tensor,
    credit: Credit = "gradcache",
    *,
    horizon: int = 8,
    synthesiser: Synthesiser | None = None,
    alpha: float = 1.0,
) -> CreditReport:
    """Add the gradients of the mean cross-entropy to the parameters' `grad`.

    Args:
        encoder: Frames (n, ...) to embeddings (n, E).
        head: Reads them.
        frames: Shape (B, S, ...).
        there: True where a scan has the frame, shape (B, S); the others neither move the state nor make a target.
        label: Shape (B,).
        credit: How credit is given.
        horizon: Frames of a stretch.
        synthesiser: Of `tbptt_sg`; gradients of its own loss are added to its parameters. With a context of labels and
            one number more it is told the label and how much of the scan is over, both known in training alone.
        alpha: Share of the synthesiser's word that is taken.

    Raises:
        ValueError: `tbptt_sg` without a synthesiser.
    """
    spans = [slice(first, first + horizon) for first in range(0, frames.shape[1], horizon)]
    with counted_bytes() as peak:
        if credit == "full":
            loss = _full(encoder, head, frames, there, label)
        elif credit == "gradcache":
            loss = _cached(encoder, head, frames, there, label, spans)
        elif credit == "tbptt_sg" and synthesiser is None:
            raise ValueError("tbptt_sg needs a synthesiser")
        else:
            told = synthesiser if credit == "tbptt_sg" else None
            loss = _truncated(encoder, head, frames, there, label, spans, credit, told, alpha)
    return CreditReport(loss, peak.bytes, len(spans))


def embedded(encoder: Encoder, frames: Tensor) -> Tensor:
    """Embed frames (B, T, ...) to (B, T, E)."""
    return encoder(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])


def _full(encoder: Encoder, head: ScanHead, frames: Tensor, there: Tensor, label: Tensor) -> float:
    state = head.step(embedded(encoder, frames), head.start(len(frames)), there)
    loss = cross_entropy(head(state), label)
    loss.backward()
    return float(loss.detach())


def _cached(
    encoder: Encoder, head: ScanHead, frames: Tensor, there: Tensor, label: Tensor, spans: list[slice]
) -> float:
    """Embed without a graph, take the head's stretches back from the last, then the encoder's."""
    with torch.no_grad():
        cache = torch.cat([embedded(encoder, frames[:, span]) for span in spans], dim=1)
        states = [head.start(len(frames))]
        for span in spans:
            states.append(head.step(cache[:, span], states[-1], there[:, span]))
    loss, back = 0.0, torch.zeros_like(states[-1])
    for number in reversed(range(len(spans))):
        span = spans[number]
        state, leaf = states[number].requires_grad_(), cache[:, span].clone().requires_grad_()
        after = head.step(leaf, state, there[:, span])
        if number == len(spans) - 1:
            asked = cross_entropy(head(after), label)
            loss = float(asked.detach())
            asked.backward()
        else:
            after.backward(back)
        back = _grad(state)
        embedded(encoder, frames[:, span]).backward(_grad(leaf))
    return loss


def _truncated(
    encoder: Encoder, head: ScanHead, frames: Tensor, there: Tensor, label: Tensor, spans: list[slice],
    credit: Credit, synthesiser: Synthesiser | None, alpha: float,
) -> float:  # fmt: skip
    """Stretch by stretch; the state crosses a boundary by its value alone."""
    state, loss, scans = head.start(len(frames)), 0.0, len(frames)
    for span in spans:
        inside = state.detach().requires_grad_()
        state = head.step(embedded(encoder, frames[:, span]), inside, there[:, span])
        is_last = span is spans[-1]
        objective = state.new_zeros(())
        if is_last or credit == "tbptt_dense":
            asked = cross_entropy(head(state), label)
            share = 1.0 if credit != "tbptt_dense" else 1 / len(spans)
            objective = objective + share * asked
            loss = float(asked.detach())
        if synthesiser is not None and not is_last:  # after the last stretch there is no future to lose
            with torch.no_grad():
                expected = synthesiser(state, _told(synthesiser, state, label, span.stop, frames.shape[1]))
            objective = objective + alpha * (expected * state).sum() / scans
        if not objective.requires_grad:  # nothing is asked of this stretch
            continue
        objective.backward()
        if synthesiser is not None and span.start > 0:
            arrived = scans * _grad(inside)  # of one scan's loss: the mean over scans divides by their number
            said = synthesiser(inside.detach(), _told(synthesiser, inside, label, span.start, frames.shape[1]))
            ((said - arrived).square().sum() / scans).backward()
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
