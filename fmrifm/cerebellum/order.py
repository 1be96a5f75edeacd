"""Which of two patterns came first? A label at the end of a scan that only memory of its beginning can tell.

Both patterns show in the first half of a scan of noise; the mean over the scan knows nothing of their order.

Axes: B scans, S frames, F numbers of a frame.
"""

import torch
from torch import Tensor, nn

from fmrifm.cerebellum.credit import Credit, ScanHead, scan_backward
from fmrifm.cerebellum.synthesiser import Synthesiser

FRAMES, NUMBERS, LASTS, STRENGTH = 40, 16, 2, 3.0
_LEARNT, _TESTED, _BATCH, _HIDDEN = 800, 400, 50, 32


def scans(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw scans and labels: (B, S, F), and 1 where the second pattern came first, (B,)."""
    patterns = nn.functional.normalize(torch.randn(2, NUMBERS, generator=torch.Generator().manual_seed(0)), dim=1)
    x, label = torch.randn(count, FRAMES, NUMBERS, generator=generator), torch.arange(count) % 2
    for scan in range(count):
        places = torch.randperm(FRAMES // 2 // LASTS, generator=generator)[:2].sort().values * LASTS
        for place, which in zip(places.tolist(), (int(label[scan]), 1 - int(label[scan])), strict=True):
            x[scan, place : place + LASTS] += STRENGTH * patterns[which]
    return x, label


def train(credit: Credit, horizon: int, seed: int, epochs: int = 60) -> list[float]:
    """Teach a recurrent head by one kind of credit; the accuracy on scans it never saw, after each epoch.

    Args:
        credit: How credit is given.
        horizon: Frames of a stretch.
        seed: Of weights, scans and their order.
        epochs: Passes.
    """
    generator = torch.Generator().manual_seed(seed)
    x, label = scans(_LEARNT, generator)
    tested, truth = scans(_TESTED, generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder, head = nn.Linear(NUMBERS, NUMBERS), ScanHead(NUMBERS, _HIDDEN)
        told = Synthesiser(2 * _HIDDEN, ctx_dim=3, generator=generator) if credit == "tbptt_sg" else None
    optimizers = [torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=3e-3)]
    optimizers += [] if told is None else [torch.optim.Adam(told.parameters(), lr=1e-3)]  # 3e-3 was unstable
    there, found = torch.ones(_BATCH, FRAMES, dtype=torch.bool), []
    for _ in range(epochs):
        for part in torch.randperm(_LEARNT, generator=generator).split(_BATCH):
            for optimizer in optimizers:
                optimizer.zero_grad()
            scan_backward(encoder, head, x[part], there, label[part], credit, horizon=horizon, synthesiser=told)
            for optimizer in optimizers:
                optimizer.step()
        with torch.no_grad():
            present = torch.ones(_TESTED, FRAMES, dtype=torch.bool)
            said = head(head.step(encoder(tested), head.start(_TESTED), present)).argmax(dim=1)
        found.append(float((said == truth).float().mean()))
    return found
