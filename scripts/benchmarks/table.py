"""What the benchmark scripts share: a clock, and figures as a table for people or one JSON object."""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping

Figures = dict[str, float]


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


def show(figures: Figures, ratios: Figures, as_json: bool) -> None:
    """Print what was measured."""
    if as_json:
        print(json.dumps({"machine": platform.platform(), "figures": figures, "ratios": ratios}))
        return
    for title, values in (("figure", figures), ("ratio", ratios)):
        print(f"\n{title}")
        for name, value in values.items():
            print(f"  {name:<62} {value:10.4g}")
