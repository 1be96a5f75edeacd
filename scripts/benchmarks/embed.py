"""What `fmrifm embed` costs beside `fmrifm prepare` and a forward pass over the store, for the same scans.

    python scripts/benchmarks/embed.py [--json] [--scans 100] [--repeats 3] [--root COHORT] [--checkpoint RUN]

Both start from files and end with the same features of every scan, in one process and on one thread; seconds
are the processor's, median of repeats that take turns. The bare rival reads and encodes each scan and does nothing
else: no rounding as in a store, no table. Without --root the scans are those of `prepare.py`, on the grid; without
--checkpoint the model is that of the recipe `demo`, untrained.
"""

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parent))
from prepare import make_cohort
from table import Figures, parser, show

from fmrifm.atlas import load_atlas
from fmrifm.config import AtlasConfig, EmbedConfig, PrepareConfig
from fmrifm.data.grid import mni_grid
from fmrifm.data.preprocess import prepare_scan
from fmrifm.data.scan import ScanRecord
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows, covering
from fmrifm.evaluation.probe import scan_features, scan_summaries
from fmrifm.model.heads import ScanClassifier
from fmrifm.recipes import fill
from fmrifm.stages.embed import embed
from fmrifm.stages.prepare import prepare
from fmrifm.training.checkpoint import Pretrained, build_model, load_pretrained, save_pretrained


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "")
    options.add_argument("--scans", type=int, default=100)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--root", type=Path, help="a folder of .nii.gz runs to use instead")
    options.add_argument("--checkpoint", type=Path, help="a pretrained model to use instead")
    asked = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = asked.root or make_cohort(folder / "cohort", asked.scans)
        paths = sorted(root.rglob("*.nii.gz"))[: asked.scans]
        checkpoint = asked.checkpoint or untrained(folder / "untrained")
        figures, ratios = compare(paths, checkpoint, folder, asked.repeats)
    show({"scans": float(len(paths)), **figures}, ratios, asked.json)


def untrained(path: Path) -> Path:
    """A model of the demo's size over the 4 mm grid, as its recipe would begin to train it."""
    grid, config = mni_grid(), fill("pretrain", "demo", {"store": "none", "out": "none"})
    atlas = load_atlas(AtlasConfig(approximation=True), grid.image(np.ones(len(grid.voxels), np.uint8)))
    torch.manual_seed(0)
    pretrained = Pretrained(
        model=build_model(grid, atlas, config.tokens, config.model),
        grid=grid,
        atlas=atlas,
        tokens=config.tokens,
        sizes=config.model,
        subjects=(),
        mean=np.zeros(len(grid.voxels), np.float32),
        deviation=np.ones(len(grid.voxels), np.float32),
        about={},
    )
    return save_pretrained(path, pretrained)


def compare(paths: list[Path], checkpoint: Path, folder: Path, repeats: int) -> tuple[Figures, Figures]:
    """Median seconds of each way, and ratios; file and store must give the same features."""
    pretrained = load_pretrained(checkpoint)
    classifier = ScanClassifier(pretrained.model, "connectivity").eval()
    table, store, out = folder / "scans.csv", folder / "scans.zarr", folder / "features.parquet"
    pd.DataFrame({"path": paths, "subject": [f"{number:04d}" for number in range(len(paths))]}).to_csv(
        table, index=False
    )
    settings = PrepareConfig(source="table", root=str(table), out=str(store), atlas=AtlasConfig(approximation=True))
    found: dict[str, np.ndarray] = {}

    def embedding() -> None:
        out.unlink(missing_ok=True)
        files = tuple(map(str, paths))
        embed(EmbedConfig(checkpoint=str(checkpoint), scans=files, out=str(out)))

    def preparing() -> None:
        shutil.rmtree(store, ignore_errors=True)
        prepare(settings)

    def encoding() -> None:
        opened = Store(store)
        windows = Windows(opened, opened.scans["scan"].tolist(), pretrained.tokens.window_volumes)
        found["features"] = scan_features(classifier, scan_summaries(classifier, windows, range(len(windows))))

    def bare() -> None:
        for path in paths:
            scan = prepare_scan(ScanRecord(path=path, subject="one"), pretrained.grid)
            signal = torch.from_numpy(scan.signal)
            volumes = pretrained.tokens.window_volumes
            windows = torch.stack([signal[first : first + volumes] for first in covering(scan.segments, volumes)])
            with torch.no_grad():
                classifier.summaries(windows[None], torch.tensor([scan.tr_s]))

    calls = {"embed": embedding, "prepare": preparing, "forward": encoding, "bare": bare}
    seconds = medians_s(calls, repeats)
    np.testing.assert_array_equal(pd.read_parquet(out).iloc[:, -classifier.pooling.size :], found["features"])
    figures = {
        "fmrifm embed (s)": seconds["embed"],
        "fmrifm prepare (s)": seconds["prepare"],
        "forward pass over the store (s)": seconds["forward"],
        "read and encode, nothing else (s)": seconds["bare"],
    }
    return figures, {
        "embed / (prepare + forward)": seconds["embed"] / (seconds["prepare"] + seconds["forward"]),
        "embed / (read and encode, nothing else)": seconds["embed"] / seconds["bare"],
    }


def medians_s(calls: Mapping[str, Callable[[], None]], repeats: int) -> Figures:
    """Median processor time of each call in s; other work on the machine does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.process_time()
            call()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()
