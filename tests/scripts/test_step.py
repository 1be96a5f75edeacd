import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmarks" / "step.py"


@pytest.fixture(scope="module")
def told() -> dict[str, dict[str, float]]:
    """Everything that the script says at tiny sizes."""
    command = [sys.executable, str(SCRIPT), "--json", "--tiny", "--turns", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_rival_has_its_figures(told):
    figures = told["figures"]
    for rival in ("ours, float32", "ours, bfloat16", "MONAI, float32", "MONAI, bfloat16", "4D Swin, float32",
                  "4D Swin, fused attention, float32", "ours, nothing left out, float32"):  # fmt: skip
        for figure in (
            "step (ms)",
            "windows (1/s)",
            "tokens (1/s)",
            "operations (GFLOP)",
            "share of the device's rate",
        ):
            assert figures[f"{rival}: {figure}"] > 0
        assert f"{rival}: peak memory (MiB)" in figures
    assert {f"share of a step of 8 windows spent waiting, {way}" for way in
            ("read here", "read ahead by a worker", "on the device")} <= set(figures)  # fmt: skip


def test_attention_is_counted_with_its_padding(told):
    """Two products forward and five backward, of queries with visible tokens, 24 + 6 * 8 channels wide."""
    for visible in (32, 64, 128):
        pairs = visible * visible + 16 * visible
        counted = told["figures"][f"{visible} visible tokens: operations, attention (GFLOP)"]
        assert counted == pytest.approx(7 * 2 * pairs * (24 + 6 * 8) / 1e9)


def test_ratios_are_those_of_the_figures(told):
    figures, ratios = told["figures"], told["ratios"]
    one, other = (figures[f"{rival}: step (ms)"] for rival in ("MONAI, float32", "ours, float32"))
    assert ratios["MONAI, float32 / ours, float32: step"] == pytest.approx(one / other)
    assert ratios["ours, nothing left out, float32 / ours, float32: operations"] > 5
