"""Classifier checkpoints: one a fold, with the subjects it learnt from and those it may be judged on."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from fmrifm.config import FinetuneConfig
from fmrifm.errors import CheckpointError
from fmrifm.model.heads import ScanClassifier
from fmrifm.model.lora import add_lora, lora_factors, merge_lora
from fmrifm.training.checkpoint import (
    Pretrained,
    load_pretrained,
    load_tensors,
    load_weights,
    save_tensors,
    select,
)

FORMAT = 3
"""1 knew neither the form of connectivity nor low-rank changes, 2 no more than two classes and no threshold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedFold:
    """A classifier and its fold."""

    number: int
    target: str
    classifier: ScanClassifier
    train: tuple[str, ...]
    test: tuple[str, ...]
    threshold: float = 0.5
    """Probability from which label 1 is called."""


def save_fold(folder: Path, fold: FittedFold, config: FinetuneConfig) -> None:
    """Write fold-K.safetensors: linear layer and pooling, and what was trained of the encoder.

    Args:
        folder: Where to write.
        fold: What to keep.
        config: Settings that it was fitted with.
    """
    classifier = fold.classifier
    parts: dict[str, nn.Module] = {"linear": classifier.linear, "pooling": classifier.pooling}
    if config.encoder == "full":
        parts["model"] = classifier.autoencoder
    elif config.encoder == "lora":
        parts["lora"] = lora_factors(classifier.autoencoder.encoder)
    tensors = {
        f"{part}.{name}": tensor for part, module in parts.items() for name, tensor in module.state_dict().items()
    }
    content = {
        "fmrifm_checkpoint": FORMAT,
        "kind": "classifier",
        "fold": fold.number,
        "pooling": config.pooling,
        "connectivity": config.connectivity,
        "classes": max(2, classifier.linear.out_features),
        "target": fold.target,
        "threshold": fold.threshold,
        "encoder": config.encoder,
        "lora_rank": config.lora_rank,
        "train": list(fold.train),
        "test": list(fold.test),
    }
    save_tensors(folder / f"fold-{fold.number}", tensors, content)


def has_folds(run: Path) -> bool:
    """Whether a run folder holds fitted classifiers."""
    return any((run / "checkpoints").glob("fold-*.safetensors"))


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
    tensors, content = load_tensors(file, kind="classifier", version=FORMAT)
    pretrained = load_pretrained(run)  # a copy of its own: folds of a trained encoder differ
    if content["encoder"] == "full":
        load_weights(pretrained.model, select(tensors, "model."), file)
    elif content["encoder"] == "lora":
        encoder = pretrained.model.encoder
        add_lora(encoder, content["lora_rank"], torch.Generator())
        load_weights(lora_factors(encoder), select(tensors, "lora."), file)
        merge_lora(encoder)
    classifier = ScanClassifier(pretrained.model, content["pooling"], content["connectivity"], content["classes"])
    load_weights(classifier.linear, select(tensors, "linear."), file)
    load_weights(classifier.pooling, select(tensors, "pooling."), file)
    return FittedFold(
        number=content["fold"],
        target=content["target"],
        classifier=classifier.eval(),
        train=tuple(content["train"]),
        test=tuple(content["test"]),
        threshold=content["threshold"],
    )
