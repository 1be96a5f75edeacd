import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fmrifm.data.grid import mni_grid
from fmrifm.data.store import Store

SPACING_MM = 12.0
N_SCANS, N_KILLS = 40, 10


def make_cohort(root: Path) -> Path:
    """Forty runs long enough to be caught half way; four different ones, the others as links, and a broken file."""
    grid, rng = mni_grid(SPACING_MM), np.random.default_rng(0)
    root.mkdir()
    for number in range(N_SCANS):
        path = root / f"run{number:02d}.nii.gz"
        if number >= 4:
            path.hardlink_to(root / f"run{number % 4:02d}.nii.gz")
            continue
        image = nib.Nifti1Image(rng.integers(900, 1100, (*grid.shape, 900), np.int16), grid.affine)
        image.header.set_zooms((SPACING_MM,) * 3 + (2.0,))
        image.header.set_xyzt_units("mm", "sec")
        image.to_filename(path)
    (root / "broken.nii").write_text("no image")
    return root


def call(root: Path, out: Path) -> subprocess.Popen[bytes]:
    words = f"prepare --source table --root {root} --out {out} --spacing_mm {SPACING_MM} --jobs 2"
    command = [sys.executable, "-m", "fmrifm", *words.split(), "--atlas.approximation", "true"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


def finished(out: Path) -> int:
    """How many scans the journal says are done."""
    return len(list(out.with_name("s.zarr.journal").glob("scans/*.json")))


def wait_for(out: Path, n_scans: int) -> None:
    """Wait until so many scans are done, or all."""
    while finished(out) < min(n_scans, N_SCANS) and not out.exists():
        time.sleep(0.02)


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_with_the_bytes_of_an_undisturbed_run(tmp_path: Path) -> None:
    root = make_cohort(tmp_path / "data")
    whole, out = tmp_path / "whole" / "s.zarr", tmp_path / "killed" / "s.zarr"
    assert call(root, whole).wait(timeout=300) == 0
    rng, caught_at = np.random.default_rng(0), [0]
    for kill in range(N_KILLS):
        process = call(root, out)
        wait_for(out, caught_at[-1] + int(rng.integers(5)) if kill % 3 else 0)
        time.sleep(rng.uniform(0, 0.5 if kill % 3 else 4))  # some while it starts, some in the middle of a scan
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        caught_at.append(finished(out))
        assert caught_at[-1] >= caught_at[-2]  # nothing that was finished is lost
    assert call(root, out).wait(timeout=300) == 0
    assert 0 < caught_at[-1] <= N_SCANS + 1
    assert Store(out).fingerprint == Store(whole).fingerprint
    assert (out / "SHA256SUMS").read_bytes() == (whole / "SHA256SUMS").read_bytes()
    assert out.with_name("quarantine.tsv").read_text().count("\n") == 2  # its header and the broken file
    assert sorted(path.name for path in out.parent.iterdir()) == ["quarantine.tsv", "s.zarr"]
