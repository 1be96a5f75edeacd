"""How well hidden voxels of held-out scans are reconstructed, beside rivals that need no network.

    python scripts/benchmarks/reconstruction.py --store cohort.zarr [--steps 600] [--json]
    python scripts/benchmarks/reconstruction.py --bold run_bold.nii.gz --atlas AAL3v1_2mm.nii.gz

With --store, a tenth of the subjects is held out; with --bold, the last third of the run. One model is trained with
each masking and scored on the same masks of the same windows as its rivals: the temporal mean (R2 0), a copy of the
nearest visible voxel, and a least-squares fit of principal components of the training volumes, as many as serve best
on the held-out ones. R2 at voxels and at region means, with intervals over subjects.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

sys.path.insert(0, str(Path(__file__).parent))
from table import Figures, parser, show

from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.evaluation.fillin import FillIn, NearestCopy, PcaFillIn, filled_in
from fmrifm.evaluation.metrics import Score
from fmrifm.evaluation.reconstruction import Predict, reconstruction_scores
from fmrifm.masking import MASKERS
from fmrifm.model.mae import MaskedAutoencoder
from fmrifm.recipes import fill
from fmrifm.stages.prepare import prepare
from fmrifm.stages.pretrain import pretrain
from fmrifm.training.checkpoint import Pretrained, load_pretrained
from fmrifm.training.datamodule import split_subjects

COMPONENTS = (5, 10, 25, 50, 60, 70, 80, 100, 200, 400, 800)
SAMPLE = 6000
"""Most training volumes that the rival's components are made of."""
SEED = 0


def main() -> None:
    """Train, score and print."""
    options = parser(__doc__ or "")
    where = options.add_mutually_exclusive_group(required=True)
    where.add_argument("--store", type=Path, help="store of many subjects")
    where.add_argument("--bold", type=Path, help="one run in MNI space; its last third is held out")
    options.add_argument("--atlas", type=Path, help="AAL3 label image, for --bold")
    options.add_argument("--steps", type=int, nargs="+", default=[100, 600], help="a model is trained for each")
    options.add_argument("--maskings", nargs="+", default=["random", "region"])
    asked = options.parse_args()
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, validation = (asked.store, 0.1) if asked.store else (one_run(asked.bold, asked.atlas, folder), 0.5)
        for masking in asked.maskings:
            for steps in asked.steps:
                run = folder / f"{masking}-{steps}"
                start = time.perf_counter()
                train(path, masking, steps, validation, run)
                figures[f"{masking}, {steps} steps: pretrain, start to scores (s)"] = time.perf_counter() - start
                score = scorer(path, load_pretrained(run), masking, validation)
                figures |= told(f"{masking}, {steps} steps: model", score(None))
            model = load_pretrained(run).model
            figures |= told(f"{masking}: prior alone", score(prior_alone(model)))
            for rival, fill_in in rivals(path, load_pretrained(run), validation).items():
                figures |= told(f"{masking}: {rival}", score(partial(filled_in, fill_in, model.tokenizer)))
    show(figures, {}, asked.json)


def one_run(bold: Path, atlas: Path, folder: Path) -> Path:
    """Prepare a run as two scans, its first two thirds and its last, the last under the name that is held out."""
    train, held = split_subjects(pd.DataFrame({"subject": ["a", "b"]}), 0.5, SEED)
    image = nib.load(bold)
    cut = image.shape[3] * 2 // 3
    for subject, volumes in ((train[0], slice(0, cut)), (held[0], slice(cut, None))):
        image.slicer[..., volumes].to_filename(folder / f"{subject}.nii.gz")
    table = pd.DataFrame({"subject": ["a", "b"], "path": ["a.nii.gz", "b.nii.gz"]})
    table.to_csv(folder / "table.csv", index=False)
    options = {"source": "table", "root": folder / "table.csv", "out": folder / "run.zarr", "atlas.path": atlas}
    with redirect_stdout(sys.stderr):  # with --json, stdout holds one object
        return prepare(fill("prepare", "adhd200_region", options))


def train(store: Path, masking: str, steps: int, validation: float, run: Path) -> None:
    """Pretrain with the shipped recipe for so many steps."""
    options = {
        "store": store,
        "out": run,
        "masking.kind": masking,
        "validation": validation,
        "seed": SEED,
        "trainer.max_epochs": -1,
        "trainer.max_steps": steps,
        "trainer.enable_progress_bar": False,
    }
    pretrain(fill("pretrain", "adhd200_region", options))


def scorer(
    path: Path, pretrained: Pretrained, masking: str, validation: float
) -> Callable[[Predict | None], dict[str, Score]]:
    """Score the model, or a rival in its place, on the held-out scans."""
    store, model = Store(path), pretrained.model
    _, held = parts(store, validation)
    windows = Windows(store, held, pretrained.tokens.window_volumes)
    subjects = store.scans.set_index("scan").loc[held, "subject"].to_numpy()
    masker = MASKERS[masking](model.tokenizer.pool, 0.75)
    return partial(reconstruction_scores, model, windows, masker, subjects, SEED)


def prior_alone(model: MaskedAutoencoder) -> Predict:
    """What the network starts from."""
    return lambda batch, _, drawn: model.expect(batch.signal, batch.covered, drawn)


def rivals(path: Path, pretrained: Pretrained, validation: float) -> dict[str, FillIn]:
    """Nearest copy, and fits of more and more components of the training volumes."""
    store = Store(path)
    train, _ = parts(store, validation)
    each = max(1, SAMPLE // len(train))
    sample = [store.window(key) for key in train]
    volumes = np.concatenate([scan[:: -(-len(scan) // each)] for scan in sample])
    usable = [count for count in COMPONENTS if count < len(volumes)]
    pca = PCA(usable[-1], svd_solver="randomized", random_state=SEED).fit(volumes)
    fits = {f"PCA, {count} components": PcaFillIn(pca, count) for count in usable}
    return {"nearest copy": NearestCopy(store.grid.coordinates_mm), **fits}


def parts(store: Store, validation: float) -> tuple[list[str], list[str]]:
    """Keys of the training and of the held-out scans."""
    train, held = split_subjects(store.scans, validation, SEED)
    scans = store.scans.set_index("subject")["scan"]
    return list(scans.loc[train]), list(scans.loc[held])


def told(name: str, scores: dict[str, Score]) -> Figures:
    """Scores and their intervals by name."""
    figures = {}
    for level, score in scores.items():
        figures[f"{name}, {level}"] = score.value
        figures[f"{name}, {level}, 95 % interval from"] = score.ci_low
        figures[f"{name}, {level}, to"] = score.ci_high
    return figures


if __name__ == "__main__":
    main()
