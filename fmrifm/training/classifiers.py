"""Classifier checkpoints: one a fold, with the subjects it learnt from and those it may be judged on."""

from dataclasses import dataclass
from pathlib import Path

from fmrifm.errors import CheckpointError
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import (
    FORMAT,
    Pretrained,
    load_pretrained,
    load_tensors,
    load_weights,
    save_tensors,
    select,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedFold:
    """A classifier and its fold."""

    number: int
    target: str
    classifier: ScanClassifier
    train: tuple[str, ...]
    test: tuple[str, ...]


def save_fold(folder: Path, fold: FittedFold, *, pooling: str, full: bool) -> None:
    """Write fold-K.safetensors: the linear layer, and the whole network where the encoder was trained too."""
    tensors = {f"linear.{name}": tensor for name, tensor in fold.classifier.linear.state_dict().items()}
    if full:
        state = fold.classifier.autoencoder.state_dict()
        tensors |= {f"model.{name}": tensor for name, tensor in state.items()}
    content = {
        "fmrifm_checkpoint": FORMAT,
        "kind": "classifier",
        "fold": fold.number,
        "pooling": pooling,
        "target": fold.target,
        "encoder": "full" if full else "frozen",
        "train": list(fold.train),
        "test": list(fold.test),
    }
    save_tensors(folder / f"fold-{fold.number}", tensors, content)


def load_folds(run: Path) -> tuple[Pretrained, list[FittedFold]]:
    """Read the pretrained model and every fold's classifier of a `finetune` run.

    Raises:
        CheckpointError: The folder holds no classifier.
    """
    files = sorted((run / "checkpoints").glob("fold-*.safetensors"), key=lambda file: int(file.stem.split("-")[1]))
    if not files:
        raise CheckpointError(f"{run}: no classifier here. Expected the run folder of `fmrifm finetune`.")
    return load_pretrained(run), [_load_fold(file, run) for file in files]


def _load_fold(file: Path, run: Path) -> FittedFold:
    tensors, content = load_tensors(file, kind="classifier")
    pretrained = load_pretrained(run)  # a copy of its own: folds of a trained encoder differ
    if content["encoder"] == "full":
        load_weights(pretrained.model, select(tensors, "model."), file)
    classifier = ScanClassifier(pretrained.model, content["pooling"])
    load_weights(classifier.linear, select(tensors, "linear."), file)
    return FittedFold(
        number=content["fold"],
        target=content["target"],
        classifier=classifier.eval(),
        train=tuple(content["train"]),
        test=tuple(content["test"]),
    )
