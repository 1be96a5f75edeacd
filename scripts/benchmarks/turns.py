"""Rivals that take turns: each in a process of its own, so that time and peak memory are its own too.

A process builds its rival, takes one step to warm up, in which floating-point operations are counted, and then
takes steps whenever it is its turn.
"""

import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula, sdpa_backward_flop_count, sdpa_flop_count


# PyTorch's counter knows the fused attention of GPUs alone; that of the CPU takes the same operations.
@register_flop_formula(torch.ops.aten._scaled_dot_product_flash_attention_for_cpu)
def _forward(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


@register_flop_formula(torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward)
def _backward(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


class Work(NamedTuple):
    """What a rival does."""

    step: Callable[[], object]
    windows: int = 1
    """Windows in a step."""
    tokens: int = 0
    """Tokens of a window, hidden ones included."""
    parameters: int = 0


@dataclass(frozen=True)
class Rival:
    """A rival by name; `build` is called, in its own process, with the device and the arguments."""

    name: str
    build: Callable[..., Work]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Result:
    """What was measured of a rival."""

    step_ms: float
    """Median time of a step."""
    steps: int
    peak_mib: float
    """Peak memory of its steps beyond what stood there before it was built; on a GPU what PyTorch allocated."""
    linear: float
    """Floating-point operations of a step but for fused attention; a multiplication and an addition are two."""
    attention: float
    """Those of fused attention."""
    work: Work


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How rivals take turns."""

    device: str
    turns: int
    turn_s: float = 1.0
    """A turn takes steps until so many seconds have passed, at least one."""


def race(rivals: Sequence[Rival], rules: Rules) -> dict[str, Result]:
    """Let rivals take turns and return what was measured, by name."""
    folder = str(Path(__file__).parent)  # the server that processes are forked from does not know the parent's sys.path
    os.environ["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["contestants"])
    started = []
    for rival in rivals:  # one after the other: what one process does must not slow another down
        ours, theirs = context.Pipe()
        process = context.Process(target=_compete, args=(theirs, rival, rules), daemon=True)
        process.start()
        theirs.close()
        ours.recv()
        started.append((rival, process, ours))
    times: dict[str, list[float]] = {rival.name: [] for rival in rivals}
    for _ in range(rules.turns):
        for rival, _, ours in started:
            ours.send(True)
            times[rival.name] += ours.recv()
    results = {}
    for rival, process, ours in started:
        ours.send(False)
        told = ours.recv()
        process.join()
        results[rival.name] = Result(statistics.median(times[rival.name]), len(times[rival.name]), *told)
    return results


def _compete(pipe: Connection, rival: Rival, rules: Rules) -> None:
    _wake(rules.device)
    before = _peak_mib(rules.device)
    torch.manual_seed(0)
    work = rival.build(torch.device(rules.device), *rival.arguments)
    _peak_mib(rules.device)
    with FlopCounterMode(display=False) as counter:
        work.step()
    pipe.send(None)
    while pipe.recv():
        pipe.send(_turn(work.step, rules))
    counts = counter.get_flop_counts().get("Global", {})
    attention = sum(count for name, count in counts.items() if "scaled_dot_product" in str(name))
    peak = _peak_mib(rules.device) - before
    pipe.send((peak, sum(counts.values()) - attention, attention, work._replace(step=print)))


def _wake(device: str) -> None:
    """Take one step of a tiny network: the code that it loads is not a rival's memory."""
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).to(device)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.randn(1, 4, 8, device=device)).sum().backward()
    optimizer.step()


def _turn(step: Callable[[], object], rules: Rules) -> list[float]:
    """Milliseconds of each step of a turn."""
    times: list[float] = []
    while not times or sum(times) < 1000 * rules.turn_s:
        start = time.perf_counter()
        step()
        if rules.device == "cuda":
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return times


def _peak_mib(device: str) -> float:
    """Peak memory since the last call, which was a peak of what is held now."""
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**20
        torch.cuda.reset_peak_memory_stats()
        return peak
    if not (status := Path("/proc/self/status")).exists():  # no Linux: the peak of the process's life
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak
    return int(line.split()[1]) / 2**10
