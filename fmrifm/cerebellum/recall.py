"""Sequences whose label is asked for at their end: the order of two patterns, and handwritten digits row by row.

In the first both patterns show in the first half of a scan of noise, so that only memory of its beginning can tell. The
second are scikit-learn's digits of 8 x 8 pixels, which need no download.

Axes: B scans, S frames, F numbers of a frame.
"""

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from fmrifm.cerebellum.credit import ScanHead, scan_backward
from fmrifm.cerebellum.synthesiser import Synthesiser
from fmrifm.config import Credit
from fmrifm.model.recurrent import Recurrence

FRAMES, NUMBERS, LASTS, STRENGTH = 40, 16, 2, 3.0
_LEARNT, _TESTED, _BATCH, _HIDDEN = 800, 400, 50, 32


@dataclass(frozen=True, eq=False)
class Sequences:
    """Scans with labels, to learn from and to test on."""

    x: Tensor
    """Shape (B, S, F)."""
    label: Tensor
    tested: Tensor
    """Shape (B', S, F)."""
    truth: Tensor
    classes: int


def scans(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw scans and labels: (B, S, F), and 1 where the second pattern came first, (B,)."""
    patterns = nn.functional.normalize(torch.randn(2, NUMBERS, generator=torch.Generator().manual_seed(0)), dim=1)
    x, label = torch.randn(count, FRAMES, NUMBERS, generator=generator), torch.arange(count) % 2
    for scan in range(count):
        places = torch.randperm(FRAMES // 2 // LASTS, generator=generator)[:2].sort().values * LASTS
        for place, which in zip(places.tolist(), (int(label[scan]), 1 - int(label[scan])), strict=True):
            x[scan, place : place + LASTS] += STRENGTH * patterns[which]
    return x, label


def order(generator: torch.Generator) -> Sequences:
    """Scans of two patterns."""
    return Sequences(*scans(_LEARNT, generator), *scans(_TESTED, generator), classes=2)


def digits(generator: torch.Generator) -> Sequences:
    """Digits, a row of eight pixels a frame; a fifth is tested on."""
    found = load_digits()
    x, label = torch.from_numpy(found.images).float() / 16, torch.from_numpy(found.target).long()
    shuffled = torch.randperm(len(x), generator=generator)
    tested, learnt = shuffled[: len(x) // 5], shuffled[len(x) // 5 :]
    return Sequences(x[learnt], label[learnt], x[tested], label[tested], classes=10)


def train(data: Sequences, credit: Credit, horizon: int, generator: torch.Generator, epochs: int = 60) -> list[float]:
    """Teach a recurrent head by one kind of credit; the accuracy on what it never saw, after each epoch.

    Args:
        data: To learn from and to test on.
        credit: How credit is given.
        horizon: Frames of a stretch.
        generator: Draws weights and order.
        epochs: Passes.
    """
    frames, numbers = data.x.shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        encoder = nn.Linear(numbers, NUMBERS)
        head = ScanHead(Recurrence(NUMBERS, _HIDDEN), nn.Linear(_HIDDEN, data.classes))
        told = Synthesiser(2 * _HIDDEN, ctx_dim=data.classes + 1) if credit == "tbptt_sg" else None
    optimizers = [torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=3e-3)]
    optimizers += [] if told is None else [torch.optim.Adam(told.parameters(), lr=1e-3)]  # 3e-3 was unstable
    found = []
    for _ in range(epochs):
        for part in torch.randperm(len(data.x), generator=generator).split(_BATCH):
            for optimizer in optimizers:
                optimizer.zero_grad()
            there = torch.ones(len(part), frames, dtype=torch.bool)
            batch = data.x[part], there, data.label[part]
            scan_backward(encoder, head, *batch, credit, horizon=horizon, synthesiser=told)
            for optimizer in optimizers:
                optimizer.step()
        found.append(_accuracy(encoder, head, data))
    return found


@torch.no_grad()
def _accuracy(encoder: nn.Module, head: ScanHead, data: Sequences) -> float:
    there = torch.ones(data.tested.shape[:2], dtype=torch.bool)
    said = head(head.recurrence.step(encoder(data.tested), head.recurrence.start(len(there)), there)).argmax(dim=1)
    return float((said == data.truth).float().mean())
