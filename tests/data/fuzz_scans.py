"""Mutate NIfTI files, prepare each, print what became of them as JSON. A program, so that its memory can be told.

    python tests/data/fuzz_scans.py N_FILES

The bytes come from hypothesis, derandomised: headers of plain files, streams of compressed ones.
"""

import gzip
import json
import logging
import re
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fmrifm.data.grid import mni_grid
from fmrifm.data.limits import Limits
from fmrifm.data.preprocess import prepare_scan
from fmrifm.data.scan import ScanRecord
from fmrifm.errors import DataError

SLOWEST_S = 5.0
NUMBERS = {  # offset and bytes of the fields of a NIfTI-1 header that place, size, scale and time the data
    "sizeof_hdr": (0, 4), "dim": (40, 16), "datatype": (70, 2), "bitpix": (72, 2), "pixdim": (76, 32),
    "vox_offset": (108, 4), "slope": (112, 8), "units": (123, 1), "codes": (252, 4), "affine": (280, 48),
    "magic": (344, 4),
}  # fmt: skip


def base() -> bytes:
    """A sound run on the 12 mm grid with an extension, as a plain file's bytes."""
    grid = mni_grid(12.0)
    data = np.rint(1000 + 15 * np.random.default_rng(0).normal(size=(*grid.shape, 26))).astype(np.int16)
    image = nib.Nifti1Image(data, grid.affine)
    image.header.set_zooms((12, 12, 12, 2))
    image.header.set_xyzt_units("mm", "sec")
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"a note of the scanner"))
    return image.to_bytes()


@st.composite
def mutations(draw: st.DrawFn, length: int) -> bytes | list[tuple[int, bytes]]:
    """Some fields filled with other bytes, and some bytes anywhere changed."""
    changes = []
    for field in draw(st.lists(st.sampled_from(sorted(NUMBERS)), max_size=2)):
        offset, size = NUMBERS[field]
        changes.append((offset, draw(st.binary(min_size=size, max_size=size))))
    anywhere = st.tuples(st.integers(0, 400) | st.integers(0, length - 1), st.binary(min_size=1, max_size=4))
    return changes + draw(st.lists(anywhere, max_size=3))


def mutate(content: bytes, changes: list[tuple[int, bytes]], cut: int | None) -> bytes:
    """Put the bytes in place and cut the end off."""
    changed = bytearray(content)
    for offset, new in changes:
        changed[offset : offset + len(new)] = new
    return bytes(changed[:cut])


def main(n_files: int) -> None:
    """Try so many files."""
    grid, plain = mni_grid(12.0), base()
    zipped = gzip.compress(plain, mtime=0)
    outcomes: Counter[str] = Counter()
    seconds = []
    files = st.one_of(
        st.tuples(st.just("run.nii"), mutations(len(plain)), st.none() | st.integers(0, len(plain))),
        st.tuples(st.just("run.nii.gz"), mutations(len(zipped)), st.none() | st.integers(0, len(zipped))),
        st.tuples(st.just("header.nii.gz"), mutations(len(plain)), st.none()),
    )

    with tempfile.TemporaryDirectory() as folder:

        @settings(
            max_examples=n_files,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(files)
        def try_one(file: tuple[str, list[tuple[int, bytes]], int | None]) -> None:
            name, changes, cut = file
            content = mutate(zipped if name == "run.nii.gz" else plain, changes, cut)
            path = Path(folder) / name
            path.write_bytes(gzip.compress(content, 1, mtime=0) if name == "header.nii.gz" else content)
            start = time.perf_counter()
            try:
                prepare_scan(ScanRecord(path=path, subject="1"), grid, limits=Limits(min_volumes=24, max_gib=0.25))
                outcomes["accepted"] += 1
            except DataError as error:
                words = re.sub(r"\S*\d\S*", "#", str(error).removeprefix(f"{path}: "))
                outcomes[" ".join(words.split()[:4])] += 1
            seconds.append(time.perf_counter() - start)
            assert seconds[-1] < SLOWEST_S, (file, seconds[-1])

        try_one()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"files": len(seconds), "slowest_s": max(seconds), "peak_mib": peak, "outcomes": outcomes}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable()  # nibabel's remarks on each header
    main(int(sys.argv[1]))
