import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_two_thousand_mutated_files_are_each_accepted_or_refused_quickly_and_in_little_memory() -> None:
    program = Path(__file__).with_name("fuzz_scans.py")
    run = subprocess.run([sys.executable, program, "2000"], capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stderr[-3000:]
    told = json.loads(run.stdout)
    assert told["files"] >= 2000
    assert told["slowest_s"] < 5
    assert told["peak_mib"] < 1024
    accepted = told["outcomes"].pop("accepted")
    assert 100 < accepted < 1000
    assert len(told["outcomes"]) > 10  # mutations reach many checks, not only the first
