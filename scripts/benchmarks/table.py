"""What the benchmark scripts share: a clock, intervals over subjects, and figures as a table or one JSON object."""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np

from fmrifm.evaluation.metrics import Statistic, bootstrap

Figures = dict[str, float]
_RESAMPLES = 1000


def parser(description: str) -> argparse.ArgumentParser:
    """Options that every script has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--json", action="store_true", help="print one object with figures and ratios")
    return options


def medians_ms(calls: Mapping[str, Callable[[], object]], repeats: int) -> Figures:
    """Median time of each call in ms; the calls take turns, so that all meet the same machine."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def mean(statistics: list[Statistic]) -> Statistic:
    """Mean over seeds of the same subjects."""
    return lambda weights: np.mean([statistic(weights) for statistic in statistics], axis=0)


def minus(ours: Statistic, theirs: Statistic) -> Statistic:
    """Difference of two scores of the same subjects."""
    return lambda weights: ours(weights) - theirs(weights)


def interval(name: str, statistic: Statistic, n: int, rng: np.random.Generator) -> Figures:
    """A value with the ends of its 95 % interval."""
    score = bootstrap(statistic, n, _RESAMPLES, rng)
    return {name: score.value, f"{name}, from": score.ci_low, f"{name}, to": score.ci_high}


def show(figures: Figures, ratios: Figures, as_json: bool) -> None:
    """Print what was measured."""
    if as_json:
        print(json.dumps({"machine": platform.platform(), "figures": figures, "ratios": ratios}))
        return
    for title, values in (("figure", figures), ("ratio", ratios)):
        print(f"\n{title}")
        for name, value in values.items():
            print(f"  {name:<62} {value:10.4g}")
