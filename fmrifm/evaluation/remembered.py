"""Summaries of scans that are kept on the disk: a scan is read once, however many folds or searches ask for it."""

from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Memory
from joblib import hash as hash_of
from torch import Tensor

from fmrifm.data.journal import source_state
from fmrifm.data.sources.loose import Scan, as_record
from fmrifm.evaluation.embedding import embed_scan
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained

Embedded = tuple[Tensor, dict[str, Any]]
"""A scan's summary, (1, ...), and the facts of `embed_scan`."""


def model_state(pretrained: Pretrained) -> str:
    """Digest of a model, and of how scans are prepared for it."""
    grid, about = pretrained.grid, pretrained.about
    # joblib hashes tensors otherwise each time.
    weights = {name: tensor.numpy(force=True) for name, tensor in pretrained.model.state_dict().items()}
    prepared = (grid.affine, grid.mask, pretrained.atlas.labels, asdict(pretrained.tokens))
    return str(hash_of((weights, prepared, about.get("cleaning"), about.get("encoding"), version("fmrifm"))))


def remembering(
    memory: Memory, state: tuple[str, ...], pretrained: Pretrained, classifier: ScanClassifier
) -> Callable[[Scan], Embedded]:
    """Return `embed_scan` for scans of any kind, with what it found before taken from memory.

    Args:
        memory: Where it is kept; one without a place keeps nothing.
        state: What the summaries depend on: the digest of the model (`model_state`) and the kind of pooling.
        pretrained: The model.
        classifier: Its encoder with a pooling.
    """
    embed = memory.cache(_embed, ignore=["scan", "pretrained", "classifier"])
    return lambda scan: embed((_scan_state(scan), state), scan, pretrained, classifier)


def _scan_state(scan: Scan) -> tuple[Any, ...]:
    """What tells a scan from another, or from itself after a change; an image in memory by its numbers."""
    if not isinstance(scan, Path):
        return (scan, np.asarray(scan.affine))
    with as_record(scan) as record:  # the mask and confounds beside a file count, too
        return (str(scan.resolve()), source_state(record))


def _embed(key: tuple[Any, ...], scan: Scan, pretrained: Pretrained, classifier: ScanClassifier) -> Embedded:
    with as_record(scan) as record:
        return embed_scan(record, pretrained, classifier)
