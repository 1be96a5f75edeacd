"""What `fmrifm prepare` costs: beside reading with nibabel, with two jobs beside one, and in memory.

    python scripts/benchmarks/prepare.py [--json] [--scans 108] [--root COHORT --source athena]

Without --root the scans are made: int16 .nii.gz of (49, 58, 47) voxels at 4 mm, 176 volumes, as ADHD-200's
Athena scans; all in the page cache. Memory is the peak of a process that prepares one (61, 73, 61, 261) scan.
"""

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from table import Figures, medians_ms, parser, show

from fmrifm.data.grid import mni_grid
from fmrifm.data.journal import Journal
from fmrifm.data.preprocess import prepare_scan
from fmrifm.data.scan import ScanRecord
from fmrifm.data.scan_writer import ScanWriter

SHAPE, LARGE = (49, 58, 47, 176), (61, 73, 61, 261)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "")
    options.add_argument("--scans", type=int, default=108, help="scans that are made")
    options.add_argument("--root", type=Path, help="a cohort to use instead")
    options.add_argument("--source", default="table", help="its layout")
    options.add_argument("--one", type=Path, help="prepare this scan alone and print the peak memory in MiB")
    asked = options.parse_args()
    if asked.one:
        prepare_one(asked.one)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = asked.root or make_cohort(folder / "cohort", asked.scans)
        figures, ratios = beside_nibabel(sorted(root.rglob("*.nii.gz"))[:8], folder)
        more, speed = beside_one_job(root, asked.source, folder)
        show(figures | more | memory(folder), ratios | speed, asked.json)


def make_cohort(root: Path, n_scans: int) -> Path:
    """Write smooth images with noise over time; eight different ones, the others as links."""
    root.mkdir()
    for number in range(n_scans):
        path = root / f"sub-{number:03d}.nii.gz"
        if number < 8:
            save(path, SHAPE, 4.0, number)
        else:
            path.hardlink_to(root / f"sub-{number % 8:03d}.nii.gz")
    return root


def save(path: Path, shape: tuple[int, ...], edge_mm: float, seed: int, kind: type = np.int16) -> Path:
    """Write a run around the middle of the MNI box, brain on a zero background, in 12 bits like a scanner's."""
    rng, grid = np.random.default_rng(seed), mni_grid(edge_mm)
    affine = grid.affine
    inside = np.zeros(shape[:3], bool)
    part = tuple(slice(0, min(a, b)) for a, b in zip(shape[:3], grid.shape, strict=True))
    inside[part] = grid.mask[part]
    data = np.zeros(shape, kind)
    data[inside] = np.rint(1000 + 15 * rng.standard_normal((inside.sum(), shape[3]), np.float32))
    image = nib.Nifti1Image(data, affine)
    image.header.set_zooms((edge_mm,) * 3 + (2.0,))
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(path)
    return path


def beside_nibabel(paths: list[Path], folder: Path) -> tuple[Figures, Figures]:
    """Time one scan on the grid, from file to store, and reading the same file with nibabel."""
    grid, journal = mni_grid(), Journal(folder / "one.journal")
    journal.begin({})
    writer = ScanWriter(folder / "one.partial", journal, "float16")
    order = iter([path for path in paths for _ in range(3)] * 4)
    current = {"path": next(order)}

    def with_nibabel() -> None:
        current["path"] = next(order)
        np.asanyarray(nib.load(current["path"]).dataobj)

    def with_fmrifm() -> None:
        record = ScanRecord(path=current["path"], subject="one")
        scan = prepare_scan(record, grid)
        row = {**record.row(folder), "tr_s": scan.tr_s, **scan.quality}
        writer.add(row, scan.signal, scan.mean, scan.deviation)

    with_fmrifm()
    times = medians_ms({"nibabel": with_nibabel, "fmrifm": with_fmrifm}, 2 * len(paths))
    figures = {"read a scan with nibabel (ms)": times["nibabel"], "prepare a scan on the grid (ms)": times["fmrifm"]}
    return figures, {"prepare / read with nibabel": times["fmrifm"] / times["nibabel"]}


def beside_one_job(root: Path, source: str, folder: Path) -> tuple[Figures, Figures]:
    """Time the whole command with one and two jobs, start-up included."""
    seconds = {jobs: command_s(root, source, folder / f"jobs{jobs}.zarr", jobs) for jobs in (1, 2)}
    figures = {f"fmrifm prepare --jobs {jobs} (s)": value for jobs, value in seconds.items()}
    return figures, {"one job / two jobs": seconds[1] / seconds[2]}


def command_s(root: Path, source: str, out: Path, jobs: int) -> float:
    """Seconds of one call, its store removed afterwards."""
    words = [
        "prepare",
        "--source",
        source,
        "--root",
        root,
        "--out",
        out,
        "--jobs",
        jobs,
        "--atlas.approximation",
        "true",
    ]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "fmrifm", *map(str, words)], check=True, capture_output=True)
    elapsed = time.perf_counter() - start
    shutil.rmtree(out)
    return elapsed


def memory(folder: Path) -> Figures:
    """Peak memory of a process that prepares one large scan, interpolated from 3 to 4 mm."""
    figures = {}
    for name, kind in (("int16", np.int16), ("float32", np.float32), ("float64", np.float64)):
        path = save(folder / f"{name}.nii.gz", LARGE, 3.0, 0, kind)
        told = subprocess.run([sys.executable, __file__, "--one", path], check=True, capture_output=True, text=True)
        figures[f"peak memory at (61, 73, 61, 261), {name} (MiB)"] = float(told.stdout)
    return figures


def prepare_one(path: Path) -> None:
    """Prepare one scan into a store as a worker does, and print the peak memory in MiB."""
    with tempfile.TemporaryDirectory() as name:
        journal = Journal(Path(name) / "journal")
        journal.begin({})
        record = ScanRecord(path=path, subject="one")
        scan = prepare_scan(record, mni_grid())
        writer = ScanWriter(Path(name) / "store", journal, "float16")
        writer.add({**record.row(path.parent), "tr_s": scan.tr_s}, scan.signal, scan.mean, scan.deviation)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
