"""`fmrifm cerebellum control`: anticipation by counterfactual predictive control, beside its comparators.

Leaves summary.tsv (a row a loop and rule), trials.tsv (error of every trial) and learning.png, neurofeedback.png.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fmrifm.cerebellum.anticipation import STEPS, Task, floor, learning, motor_task, neurofeedback_task, scanner_noise
from fmrifm.cerebellum.cfpc import Trace, rms
from fmrifm.config import CerebellumConfig
from fmrifm.report.circuits import trial_curves
from fmrifm.report.svg import FIRST, INK, SECOND, STYLE

MOTOR = (("first-order", "track"), ("underdamped", "reject"), ("inertia", "track"), ("inertia", "reject"))
NEUROFEEDBACK = "neurofeedback"
NOISE_SD = 0.5
_TRIALS = 60


class Rule(NamedTuple):
    """One way of giving credit."""

    name: str
    trace: Trace
    delay_frames: int = 0


class Found(NamedTuple):
    """Errors of every trial at the step that ended best."""

    loop: str
    rule: str
    step: float
    errors: NDArray[np.float64]
    """Shape (trials, L)."""


def control(config: CerebellumConfig, out: Path, say: Callable[[str], None]) -> None:
    """Learn in every loop by every rule, and write tables and figures."""
    tasks = {f"{plant}, {what}": motor_task(plant, what) for plant, what in MOTOR}
    tasks[NEUROFEEDBACK] = neurofeedback_task()
    found: list[Found] = []
    for name, task in tasks.items():
        say(f"{name} ...")
        found += [_learnt(name, task, rule, config.trials) for rule in _rules(name)]
    rng = np.random.default_rng(config.seed)
    summary = pd.DataFrame([*_summary(tasks, found), _in_noise(tasks[NEUROFEEDBACK], rng)])
    summary.to_csv(out / "summary.tsv", sep="\t", index=False)
    trials = _trials(found)
    trials.to_csv(out / "trials.tsv", sep="\t", index=False)
    trial_curves(trials, summary).savefig(out / "learning.png", dpi=200)
    _draw_neurofeedback(tasks[NEUROFEEDBACK], found).savefig(out / "neurofeedback.png", dpi=150)


def _rules(loop: str) -> list[Rule]:
    """The model's trace, none, and a delay tuned to the loop: 6 s for BOLD, 50 ms for the plants."""
    delay = 6 if loop == NEUROFEEDBACK else 10
    return [Rule("forward-model trace", "model"), Rule("pure delay", "delay", delay), Rule("no trace", "none")]


def _learnt(name: str, task: Task, rule: Rule, trials: int) -> Found:
    """Learn at ten steps, and keep the one whose last trials are best."""
    trials = _TRIALS if name == NEUROFEEDBACK else trials
    runs = [learning(task, rule.trace, float(step), trials, delay_frames=rule.delay_frames) for step in STEPS]
    best = int(np.argmin([rms(errors[-10:]) for errors in runs]))
    return Found(name, rule.name, float(STEPS[best]), runs[best])


def _summary(tasks: dict[str, Task], found: list[Found]) -> Iterator[dict[str, float | str]]:
    for loop, rule, step, errors in found:
        alone = rms(tasks[loop].without)
        yield {
            "loop": loop, "rule": rule, "step": step, "rmse": rms(errors[-10:]), "rmse_feedback": alone,
            "rmse_floor": floor(tasks[loop]), "share_of_feedback": rms(errors[-10:]) / alone,
        }  # fmt: skip


def _in_noise(task: Task, rng: np.random.Generator) -> dict[str, float | str]:
    """Neurofeedback with scanner noise: errors of what the loop does, not of what it hears."""
    noise = scanner_noise(_TRIALS, len(task.target), NOISE_SD, rng)
    alone = rms(np.stack([task.loop.rollout(task.target, noise=one).e + one for one in noise[-10:]]))
    ours = rms((learning(task, "model", 0.1, _TRIALS, noise=noise) + noise)[-10:])
    return {
        "loop": f"{NEUROFEEDBACK}, noise {NOISE_SD:g}", "rule": "forward-model trace", "step": 0.1, "rmse": ours,
        "rmse_feedback": alone, "rmse_floor": floor(task), "share_of_feedback": ours / alone,
    }  # fmt: skip


def _trials(found: list[Found]) -> pd.DataFrame:
    return pd.concat(
        pd.DataFrame({"loop": one.loop, "rule": one.rule, "trial": np.arange(1, len(one.errors) + 1),
                      "rmse": np.sqrt(np.square(one.errors).mean(axis=1))})
        for one in found
    )  # fmt: skip


@matplotlib.rc_context(STYLE)
def _draw_neurofeedback(task: Task, found: list[Found]) -> Figure:
    """What BOLD did under feedback alone and in the last trial."""
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    last = next(one.errors[-1] for one in found if one.loop == NEUROFEEDBACK)
    axes.plot(task.target, color=INK, lw=2, label="wanted")
    axes.plot(task.target - task.without, color=SECOND, ls="--", label="feedback alone")
    axes.plot(task.target - last, color=FIRST, label=f"with anticipation, trial {_TRIALS}")
    axes.set(xlabel="time (s)", ylabel="BOLD (share of the plateau)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure
