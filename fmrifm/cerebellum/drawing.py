"""Line drawing under short credit: does a synthesiser help a recurrent cortex?

A cue tells which of seven movements to make in ten steps: stay, or draw a straight line of length 10 in one of six
directions. The error of every second step is heard, from the first on, and credit reaches back over T steps alone.
Sizes, rates and what is heard are those of the authors' code (Pemberton et al., arXiv:2110.11501; neuralml/ccDNI).
Seeds are trained side by side, each with weights, examples and an order of its own.

Axes: R seeds, B examples, N steps, T steps of a stretch, D = 2 H numbers of a state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from fmrifm.cerebellum.synthesiser import Synthesiser

STEPS, RADIUS, MOVEMENTS, EXAMPLES, BATCH = 10, 10.0, 7, 800, 50
HIDDEN, GRANULE, LAYERS, ALPHA = 50, 400, 2, 0.1
_HEARD = slice(0, None, 2)
"""Steps whose error is heard."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to learn."""

    horizon: int
    """T, steps that credit reaches back."""
    synthesiser: bool = False
    fan_in: int | None = None
    """Mossy fibres a granule cell hears; all by default."""
    lesion_epoch: int | None = None
    """From here on the cortex hears no synthesiser: a cerebellar lesion."""
    olive_epoch: int | None = None
    """From here on the synthesiser is heard, and learns no more: a lesion of the olive."""


class Learnt(NamedTuple):
    """How each seed draws the seven movements."""

    error: Tensor
    """Squared Euclidean error over all steps, after each epoch, shape (epochs, R)."""
    deviation: Tensor
    """Mean distance from the wanted line at the end, shape (R,)."""
    drawn: Tensor
    """Drawings at the end, shape (R, 7, N, 2)."""


class Cortex(nn.Module):
    """An LSTM and a linear readout of two coordinates."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Linear(1, 4 * HIDDEN)
        self.recurrent = nn.Linear(HIDDEN, 4 * HIDDEN)
        self.read = nn.Linear(HIDDEN, 2)
        for parameter in (*self.inputs.parameters(), *self.recurrent.parameters()):
            nn.init.uniform_(parameter, -(HIDDEN**-0.5), HIDDEN**-0.5)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (B, T, 1) from a state (B, D) on to drawings (B, T, 2) and the next state."""
        (h, c), drawn = state.chunk(2, dim=1), []
        for step in x.unbind(dim=1):
            i, f, g, o = (self.inputs(step) + self.recurrent(h)).chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            drawn.append(self.read(h))
        return torch.stack(drawn, dim=1), torch.cat([h, c], dim=1)


def movements() -> tuple[Tensor, Tensor]:
    """Inputs and lines of the seven movements, shapes (7, N, 1) and (7, N, 2)."""
    cues = torch.zeros(MOVEMENTS, STEPS, 1)
    cues[:, 0, 0] = 0.1 * torch.arange(-3.0, 4.0)
    angle = torch.arange(MOVEMENTS - 1) * (2 * torch.pi / (MOVEMENTS - 1))
    ends = torch.cat([torch.zeros(1, 2), RADIUS * torch.stack([angle.cos(), angle.sin()], dim=1)])
    return cues, torch.linspace(0, 1, STEPS)[None, :, None] * ends[:, None]


class Ensemble:
    """Networks of one kind, one a seed, as one function of stacked weights."""

    def __init__(self, modules: list[nn.Module]) -> None:
        self.weights, self.buffers = stack_module_state(modules)
        self._call = vmap(lambda weights, buffers, *x: functional_call(modules[0], (weights, buffers), x))

    def __call__(self, *x: Tensor) -> Any:
        """What each seed's network, called with its part of the arguments, returns."""
        return self._call(self.weights, self.buffers, *x)

    def clip(self, most: float = 1.0) -> None:
        """Bound the norm of each seed's gradient."""
        found = [weight.grad for weight in self.weights.values() if weight.grad is not None]
        norm = torch.stack([gradient.flatten(1).square().sum(dim=1) for gradient in found]).sum(dim=0).sqrt()
        for gradient in found:
            gradient *= (most / norm.clamp(min=most)).view(-1, *[1] * (gradient.ndim - 1))


def train(variant: Variant, seeds: Sequence[int], epochs: int = 100) -> Learnt:
    """Teach a cortex a seed, side by side; the same seed starts alike and sees the same in every variant."""
    cortex, cerebellum = _born(variant, seeds)
    draws = [torch.Generator().manual_seed(seed) for seed in seeds]
    examples = torch.stack([torch.randint(MOVEMENTS, (EXAMPLES,), generator=draw) for draw in draws])
    weights = [*cortex.weights.values(), *cerebellum.weights.values()]
    optimizer = torch.optim.Adam(weights, lr=1e-3, betas=(0.9, 0.98), eps=1e-9)
    (cues, lines), errors = movements(), []
    for epoch in range(epochs):
        heard = variant.synthesiser and not _past(epoch, variant.lesion_epoch)
        learns = heard and not _past(epoch, variant.olive_epoch)
        order = torch.stack([torch.randperm(EXAMPLES, generator=draw) for draw in draws])
        for batch in examples.gather(1, order).split(BATCH, dim=1):
            optimizer.zero_grad()
            _credit(cortex, cerebellum, cues[batch], lines[batch], variant.horizon, heard, learns)
            cortex.clip()
            optimizer.step()
        drawn, error = _drawn(cortex, len(seeds))
        errors.append(error)
    return Learnt(torch.stack(errors), _deviation(drawn), drawn)


def _born(variant: Variant, seeds: Sequence[int]) -> tuple[Ensemble, Ensemble]:
    cortices, cerebella = [], []
    for seed in seeds:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            cortices.append(Cortex())
            draw = torch.Generator().manual_seed(seed)
            made = Synthesiser(2 * HIDDEN, granule=GRANULE, layers=LAYERS, fan_in=variant.fan_in, generator=draw)
            cerebella.append(made)
    return Ensemble([*cortices]), Ensemble([*cerebella])


def _past(epoch: int, start: int | None) -> bool:
    return start is not None and epoch >= start


def _credit(
    cortex: Ensemble, cerebellum: Ensemble, x: Tensor, wanted: Tensor, horizon: int, heard: bool, learns: bool
) -> None:
    """Gradients of a batch, (R, B, N, 1) and its lines, stretch by stretch; all are added up before one step."""
    state = torch.zeros(*x.shape[:2], 2 * HIDDEN)
    counted_N = torch.zeros(STEPS)
    counted_N[_HEARD] = 1.0
    for first in range(0, STEPS, horizon):
        span = slice(first, first + horizon)
        inside = state.detach().requires_grad_()
        drawn, state = cortex(x[:, :, span], inside)
        counted = counted_N[span]
        error = (drawn - wanted[:, :, span]).square().mean(dim=(1, 3)) @ counted
        objective = (error / counted.sum().clamp(min=1)).sum()
        if heard and first + horizon < STEPS:  # after the last stretch there is no future to lose
            with torch.no_grad():
                expected = cerebellum(state)
            objective = objective + ALPHA * (expected * state).sum() / BATCH
        objective.backward()
        if learns and first > 0:
            arrived = BATCH * cast(
                "Tensor", inside.grad
            )  # of one example: the mean over examples divides by their number
            ((cerebellum(inside.detach()) - arrived).square().sum() / BATCH).backward()


@torch.no_grad()
def _drawn(cortex: Ensemble, seeds: int) -> tuple[Tensor, Tensor]:
    """Drawings of the seven movements, and their mean squared error over all steps, shape (R,)."""
    cues, lines = movements()
    drawn, _ = cortex(cues.expand(seeds, -1, -1, -1), torch.zeros(seeds, MOVEMENTS, 2 * HIDDEN))
    return drawn, (drawn - lines).square().sum(dim=-1).mean(dim=(1, 2))


def _deviation(drawn: Tensor) -> Tensor:
    """Mean distance of drawings from their lines, whatever the speed, shape (R,)."""
    _, lines = movements()
    along = nn.functional.normalize(lines[:, -1], dim=-1)[:, None]
    off = drawn - (drawn * along).sum(dim=-1, keepdim=True) * along
    return off.norm(dim=-1).mean(dim=(1, 2))
