"""What predictors of the next frame are worth on synthetic scans whose best prediction is known, against their bars.

    python scripts/benchmarks/predict.py [--seeds 3] [--parts linear memory noise rollout surprise regimes] [--json]
    python scripts/benchmarks/predict.py --parts real --bold run.nii.gz --atlas AAL3v1_2mm.nii.gz

Scans: 150 of a first-order network of 40 parcels seen through the haemodynamic response and noise (TR 2 s, 200 frames;
`fmrifm.cerebellum.synthetic`), 120 of them to learn from. Figures are means over seeds, each with networks, scans and
weights of its own; `sd` is over seeds. R2 is of the next frame, against predicting 0.
`real` is one unfiltered run: region means scaled by its first two thirds, which are learnt from; skill over each
region's own past on the last third, with an interval over blocks of five volumes.
"""

import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from nilearn.maskers import NiftiLabelsMasker
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from table import Figures, parser, show

from fmrifm.cerebellum.forecast import ahead, explained, rollout
from fmrifm.cerebellum.learning import fit
from fmrifm.cerebellum.normalise import by_training
from fmrifm.cerebellum.predictors import AttentionPredictor, CerebellarPredictor, Predictor, width_for
from fmrifm.cerebellum.references import Persistence, autoregression, vector_autoregression
from fmrifm.cerebellum.surprise import surprise
from fmrifm.cerebellum.synthetic import linear_scans, network

PARCELS, SCANS, FRAMES, LEARNT, LAGS = 40, 150, 200, 120, 16


def main() -> None:
    """Measure each part on each seed and print."""
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--parts", nargs="+", choices=PARTS, default=[name for name in PARTS if name != "real"])
    options.add_argument("--bold", help="of `real`: a 4D image in MNI space")
    options.add_argument("--atlas", help="of `real`: the AAL3 image")
    asked = options.parse_args()
    torch.set_num_threads(1)
    figures: Figures = {}
    for part in asked.parts:
        measure = partial(real, bold=asked.bold, atlas=asked.atlas) if part == "real" else PARTS[part]
        found = [measure(seed) for seed in range(asked.seeds)]
        for name in found[0]:
            values = [one[name] for one in found]
            figures[f"{part}: {name}"] = float(np.mean(values))
            figures[f"{part}: {name}, sd"] = float(np.std(values))
        print(f"{part} done", file=sys.stderr, flush=True)
    show(figures, {}, asked.json)


def circuits(seed: int) -> dict[str, Callable[[], Predictor]]:
    """The three circuits with about as many trainable numbers."""
    draw = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    width = width_for(PARCELS, CerebellarPredictor(PARCELS).trainable)
    return {
        "attention": lambda: AttentionPredictor(PARCELS, width),
        "cerebellum": lambda: CerebellarPredictor(PARCELS, generator=draw),
        "recurrent cerebellum": lambda: CerebellarPredictor(PARCELS, recurrent=True, generator=draw),
    }


def taught(predictor: Predictor, train: Tensor, seed: int) -> Predictor:
    """Attention from scratch; the recurrent readout from ridge regression, by small steps."""
    if isinstance(predictor, AttentionPredictor):
        return fit(predictor, train, torch.Generator().manual_seed(seed))
    return fit(predictor, train, torch.Generator().manual_seed(seed), epochs=2, lr=1e-4, batch=8)


def data(seed: int, radius: float = 0.95, noise: float = 0.3) -> tuple[Tensor, Tensor, np.random.Generator]:
    """Scans to learn from, scans to test on, and the generator they came from."""
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(linear_scans(network(PARCELS, rng, radius), SCANS, FRAMES, rng, noise=noise))
    return x[:LEARNT], x[LEARNT:], rng


def linear(seed: int) -> Figures:
    """R2 of every predictor; what a readout of one frame loses."""
    train, test, _ = data(seed)
    found = {
        "persistence": explained(Persistence(PARCELS), test),
        "autoregression": explained(autoregression(train, LAGS), test),
        "ridge VAR": explained(vector_autoregression(train, LAGS), test),
    }
    found |= {name: explained(taught(make(), train, seed), test) for name, make in circuits(seed).items()}
    one = fit(CerebellarPredictor(PARCELS, lags=1), train, torch.Generator().manual_seed(seed))
    return found | {"cerebellum with one lag": explained(one, test)}


def memory(seed: int) -> Figures:
    """What the cerebellum loses without memory, by the spectral radius of the network and the noise in a frame."""
    found = {}
    for radius, noise in ((0.95, 1.0), (0.95, 0.1), (0.6, 0.1), (0.3, 0.1)):
        train, test, _ = data(seed, radius, noise)
        many, one = (
            explained(fit(CerebellarPredictor(PARCELS, lags), train, torch.Generator().manual_seed(seed)), test)
            for lags in (LAGS, 1)
        )
        found |= {f"radius {radius}, noise {noise}": many, f"radius {radius}, noise {noise}, one lag": one}
    return found


def noise(seed: int) -> Figures:
    """R2 on white noise: 0 but for chance."""
    drawn = torch.randn(SCANS, FRAMES, PARCELS, generator=torch.Generator().manual_seed(seed))
    train, test = drawn[:LEARNT], drawn[LEARNT:]
    return {name: explained(taught(make(), train, seed), test) for name, make in circuits(seed).items()}


def rollouts(seed: int) -> Figures:
    """Variance, connectivity and memory of scans that were made up, against real ones."""
    train, test, _ = data(seed)
    predictor = fit(CerebellarPredictor(PARCELS), train, torch.Generator().manual_seed(seed))
    context, real = test[:, :32], test[:, 32:]
    made = rollout(predictor, context, 168, noise=True, generator=torch.Generator().manual_seed(seed))
    still = rollout(predictor, context, 168, noise=False)
    lags = [abs(autocorrelation(made, lag) - autocorrelation(real, lag)) for lag in (1, 2, 3)]
    return {
        "variance over real": float(made.var() / real.var()),
        "variance without noise, frames 61 on": float(still[:, 60:].var()),
        "r of group connectivity with real": agreement(made, real),
        "r of real with real": agreement(train, real),
        "largest difference of autocorrelation, lags 1 to 3": max(lags),
    }


def autocorrelation(x: Tensor, lag: int) -> float:
    """Mean autocorrelation of parcels at a lag."""
    x = x - x.mean(dim=1, keepdim=True)
    return float(((x[:, lag:] * x[:, :-lag]).sum(dim=1) / x.square().sum(dim=1)).mean())


def agreement(one: Tensor, other: Tensor) -> float:
    """Correlation of two groups' mean connectivity over pairs of parcels."""
    pairs = np.triu_indices(PARCELS, 1)
    means = [np.mean([np.corrcoef(scan.T) for scan in group.numpy()], axis=0)[pairs] for group in (one, other)]
    return float(np.corrcoef(*means)[0, 1])


def pulses(seed: int) -> Figures:
    """AUC with which pulses of three innovation deviations over two frames in one parcel are found."""
    train, test, rng = data(seed)
    predictor = fit(CerebellarPredictor(PARCELS), train, torch.Generator().manual_seed(seed))
    hit, changed = np.zeros(test.shape, bool), test.clone()
    for scan in range(len(test)):
        for start in rng.choice(np.arange(20, FRAMES - 2, 4), 20, replace=False):
            parcel = int(rng.integers(PARCELS))
            hit[scan, start : start + 2, parcel] = True
            changed[scan, start : start + 2, parcel] += 3 * float(predictor.covariance[parcel, parcel]) ** 0.5
    truth = hit[:, 20:].ravel()
    step = (changed[:, 20:] - changed[:, 19:-1]).abs()
    return {
        "surprise": float(roc_auc_score(truth, surprise(predictor, changed)[:, 19:].numpy().ravel())),
        "raw |z|": float(roc_auc_score(truth, changed[:, 20:].abs().numpy().ravel())),
        "frame difference": float(roc_auc_score(truth, step.numpy().ravel())),
    }


def regimes(seed: int) -> Figures:
    """Balanced accuracy with which a probe on hidden states tells which of two networks made a stretch of 40 frames."""
    rng = np.random.default_rng(seed)
    parts = [torch.from_numpy(linear_scans(network(PARCELS, rng), SCANS, 80, rng)) for _ in range(2)]
    x, label = torch.cat(parts), np.repeat([0, 1], SCANS)
    order = rng.permutation(len(x))
    learnt, tested = order[: 2 * LEARNT], order[2 * LEARNT :]
    found = {}
    for name, make in circuits(seed).items():
        predictor = taught(make(), x[learnt], seed)
        with torch.no_grad():  # what a linear probe reads: how the hidden features vary together with the frame
            parts = [predictor(part).hidden[:, 20:60] for part in x.split(30)]
        hidden = torch.cat([torch.cat([part.mean(dim=1), part.std(dim=1)], dim=1) for part in parts]).numpy()
        scale = hidden[learnt].std(axis=0) + 1e-6
        probe = LogisticRegression(C=0.01, max_iter=2000).fit(hidden[learnt] / scale, label[learnt])
        found[name] = float(balanced_accuracy_score(label[tested], probe.predict(hidden[tested] / scale)))
    return found


def real(seed: int, bold: str = "", atlas: str = "") -> Figures:
    """Skill over autoregression at the next volume, on the last third of one run."""
    lags, stretch, block = 4, 17, 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        masker = NiftiLabelsMasker(atlas, resampling_target="data", strategy="mean")
        series = torch.from_numpy(masker.fit_transform(bold)).float()
    series = series[:, series.std(dim=0) > 0]
    learnt = len(series) * 2 // 3 // stretch * stretch
    x = by_training(series[None], series[None, :learnt])[0]
    train, test = x[:learnt].unflatten(0, (-1, stretch)), x[None, learnt:]
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    cerebellum = CerebellarPredictor(x.shape[1], lags, 500, generator=generator)
    models = {
        "cerebellum": fit(cerebellum, train, generator),
        "attention": fit(AttentionPredictor(x.shape[1], 32, context=lags), train, generator, epochs=30),
        "ridge VAR": vector_autoregression(train, lags),
        "persistence": Persistence(x.shape[1]),
    }
    error = {name: of_volumes(model, test, lags) for name, model in models.items()}
    own = of_volumes(autoregression(train, lags), test, lags)
    starts = np.random.default_rng(seed).integers(len(own) - block + 1, size=(1000, -(-len(own) // block)))
    drawn = (starts[..., None] + np.arange(block)).reshape(1000, -1)
    found = {"regions": float(x.shape[1]), "volumes tested": float(len(own))}
    for name, of_model in error.items():
        low, high = np.quantile(1 - of_model[drawn].mean(axis=1) / own[drawn].mean(axis=1), [0.025, 0.975])
        found |= {f"{name} over AR": 1 - of_model.mean() / own.mean(), f"{name}, from": low, f"{name}, to": high}
    return found


def of_volumes(predictor: Predictor, test: Tensor, memory: int) -> np.ndarray:
    """Mean squared error of each volume one ahead."""
    predicted, actual = ahead(predictor, test, 1, memory)
    return (predicted - actual).square().mean(dim=2)[0].double().numpy()


PARTS: dict[str, Callable[[int], Figures]] = {
    "linear": linear, "memory": memory, "noise": noise, "rollout": rollouts, "surprise": pulses, "regimes": regimes,
    "real": real,
}  # fmt: skip

if __name__ == "__main__":
    main()
