"""Features of a scan that is in no store: read, cleaned and cut as the model's own scans were, then encoded.

Axes: t volumes of a window, V brain voxels, R regions, D features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import torch
from nibabel.affines import voxel_sizes
from numpy.typing import NDArray
from torch import Tensor

from fmrifm.config import CleaningConfig
from fmrifm.data.encoding import rounded
from fmrifm.data.images import open_image
from fmrifm.data.preprocess import PreparedScan, prepare_scan
from fmrifm.data.scan import ScanRecord
from fmrifm.data.windows import covering
from fmrifm.errors import ConfigError, DataError
from fmrifm.model.connectivity import ConnectivityPooling, LogEuclideanPooling
from fmrifm.model.heads import ScanClassifier
from fmrifm.training.checkpoint import Pretrained


def cleaning_of(pretrained: Pretrained) -> CleaningConfig:
    """How the scans were cleaned that a model was pretrained on; checkpoints that do not say so: not at all."""
    kept: Mapping[str, Any] = pretrained.about.get("cleaning") or {}
    return CleaningConfig(**{**asdict(CleaningConfig()), **kept, "confounds": tuple(kept.get("confounds", ()))})


def embed_scan(record: ScanRecord, pretrained: Pretrained, classifier: ScanClassifier) -> tuple[Tensor, dict[str, Any]]:
    """Read one run of any grid and repetition time in MNI space, and say what was done to it.

    Args:
        record: Where it is.
        pretrained: Whose grid, cleaning and window it is brought to.
        classifier: Whose encoder and pooling are used.

    Returns:
        Its summary by the pooling, shape (1, ...), and facts: own_tr_s and tr_s (another one where the model's scans
        were interpolated to a common one), n_volumes, n_windows, coverage, own_voxel_mm, and resampled (True where
        it did not lie on the model's grid).

    Raises:
        DataError: It cannot be used; the sentence says why.
    """
    scan = prepare_scan(record, pretrained.grid, cleaning_of(pretrained))
    windows, n_windows = _windows(scan, pretrained, record)
    device = next(classifier.parameters()).device
    with torch.no_grad():
        summary = classifier.summaries(windows.to(device), torch.tensor([scan.tr_s], device=device)).cpu()
    facts = {
        "own_tr_s": scan.own_tr_s,
        "tr_s": scan.tr_s,
        "n_volumes": len(scan.signal),
        "n_windows": n_windows,
        "coverage": round(scan.coverage, 4),
        "own_voxel_mm": " x ".join(f"{edge:.3g}" for edge in voxel_sizes(open_image(record.path).affine)),
        "resampled": scan.resampled,
    }
    return summary, facts


def _windows(scan: PreparedScan, pretrained: Pretrained, record: ScanRecord) -> tuple[Tensor, int]:
    """All windows of a scan as a batch of one, (1, n, t, V), rounded as the model's store is; and how many."""
    volumes = pretrained.tokens.window_volumes
    starts = covering(scan.segments, volumes)
    if not starts:
        raise DataError(
            f"{record.path}: {max(scan.segments)} consecutive volumes, expected the {volumes} of the model's window. "
            "Give a longer run, or a model of shorter windows."
        )
    signal = rounded(scan.signal, pretrained.about.get("encoding", "float16"))
    return torch.stack([signal[start : start + volumes] for start in starts])[None], len(starts)


def feature_table(
    paths: Sequence[str | None], facts: Sequence[Mapping[str, Any]], features: NDArray[np.float32], names: Sequence[str]
) -> pd.DataFrame:
    """One row a scan: its path, the facts of `embed_scan`, then its features (S, D) under their names."""
    known = pd.DataFrame({"path": paths, **pd.DataFrame(list(facts)).to_dict("list")})
    return pd.concat([known, pd.DataFrame(features, columns=list(names))], axis=1)


def vectorise(classifier: ScanClassifier, summaries: Tensor) -> NDArray[np.float32]:
    """Features of scans from their summaries, (S, D)."""
    device = next(classifier.parameters()).device
    with torch.no_grad():
        return np.asarray(classifier.pooling.vectorise(summaries.to(device)).cpu().numpy())


def device_named(name: str) -> torch.device:
    """A device by PyTorch's name; `auto` takes a GPU if there is one.

    Raises:
        ConfigError: There is none of that name.
    """
    try:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device is {name}: {str(error).splitlines()[0]}. Give auto, cpu or cuda.") from None


def feature_names(pretrained: Pretrained, classifier: ScanClassifier) -> list[str]:
    """Names of the features in their order: pairs of regions, or the numbers of a token's features."""
    pooling = classifier.pooling
    if not isinstance(pooling, ConnectivityPooling):
        return [f"feature_{number}" for number in range(pooling.size)]
    names = pretrained.atlas.regions.set_index("index").loc[pretrained.model.tokenizer.values, "name"].tolist()
    row, column = np.triu_indices(len(names), k=0 if isinstance(pooling, LogEuclideanPooling) else 1)
    return [f"{names[i]}~{names[j]}" for i, j in zip(row, column, strict=True)]
