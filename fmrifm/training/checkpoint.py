"""Checkpoints: weights as safetensors beside a JSON file that says what they are.

    NAME.safetensors    model.*, grid.mask, atlas.labels, normalisation.mean, normalisation.deviation
    NAME.json           format, settings, grid, atlas, normalisation, subjects seen, scores

Nothing in them is unpickled, and together they are enough to embed a scan without the store.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fmrifm.atlas import Atlas
from fmrifm.config import ModelConfig, Objective, TokensConfig
from fmrifm.data.grid import Grid
from fmrifm.errors import CheckpointError
from fmrifm.model.mae import MaskedAutoencoder
from fmrifm.model.tokens import tokenizer_for
from fmrifm.training.files import whole

FORMAT = 2
NORMALISATION = "per-voxel z-score over time, within the scan"


@dataclass(frozen=True, kw_only=True, eq=False)
class Pretrained:
    """A pretrained model with everything that its use depends on."""

    model: MaskedAutoencoder
    grid: Grid
    atlas: Atlas
    tokens: TokensConfig
    sizes: ModelConfig
    subjects: tuple[str, ...]
    """Subjects whose scans the weights have seen, validation subjects included."""
    mean: NDArray[np.float32]
    """Mean BOLD of each brain voxel over the training scans, shape (V,): turns a reconstruction into BOLD."""
    deviation: NDArray[np.float32]
    """Mean temporal deviation of each brain voxel over the training scans, shape (V,)."""
    about: Mapping[str, Any]
    """Whatever else is worth keeping: masking, store fingerprint, epoch, scores."""
    objective: Objective = "mask"
    """What it was trained on: without `mask` the decoder has learnt nothing, without `next` there is no such head."""


def build_model(
    grid: Grid, atlas: Atlas, tokens: TokensConfig, sizes: ModelConfig, objective: Objective = "mask"
) -> MaskedAutoencoder:
    """Build an untrained model over a grid and atlas."""
    return MaskedAutoencoder(tokenizer_for(grid, atlas, tokens), sizes, foresees="next" in objective)


def save_pretrained(path: Path, pretrained: Pretrained, weights: Mapping[str, Tensor] | None = None) -> Path:
    """Write `path`.safetensors and `path`.json, each put in place when complete.

    Args:
        path: Without a suffix.
        pretrained: What to write.
        weights: The model's weights, where it does not hold them itself because they are shared out over processes.
    """
    weights = pretrained.model.state_dict() if weights is None else weights
    tensors = {f"model.{name}": tensor for name, tensor in weights.items()}
    tensors |= {
        "grid.mask": torch.from_numpy(pretrained.grid.mask),
        "atlas.labels": torch.from_numpy(pretrained.atlas.labels),
        "normalisation.mean": torch.from_numpy(pretrained.mean),
        "normalisation.deviation": torch.from_numpy(pretrained.deviation),
    }
    content = {
        "fmrifm_checkpoint": FORMAT,
        "kind": "pretrained",
        "tokens": asdict(pretrained.tokens),
        "model": asdict(pretrained.sizes),
        "objective": pretrained.objective,
        "affine": pretrained.grid.affine.tolist(),
        "atlas": pretrained.atlas.to_json(),
        "normalisation": NORMALISATION,
        "subjects": list(pretrained.subjects),
        "about": dict(pretrained.about),
    }
    return save_tensors(path, tensors, content)


def load_pretrained(path: str | Path) -> Pretrained:
    """Read a pretrained model from a run folder, its `checkpoints` folder, or one .safetensors file.

    Raises:
        CheckpointError: Nothing there, incomplete, or of another format.
    """
    tensors, content = load_tensors(weights := find_weights(Path(path)), kind="pretrained")
    try:
        return _assemble(tensors, content, path)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{weights}: it or its .json file lacks something, or has something else in its place ({error!r}). "
            "Copy or make it again."
        ) from None


def _assemble(tensors: Mapping[str, Tensor], content: Mapping[str, Any], path: str | Path) -> Pretrained:
    grid = Grid(affine=np.array(content["affine"]), mask=tensors["grid.mask"].numpy())
    atlas = Atlas.from_json(tensors["atlas.labels"].numpy(), content["atlas"])
    tokens, sizes = TokensConfig(**content["tokens"]), ModelConfig(**content["model"])
    objective = content.get("objective", "mask")  # the only one before there were several
    model = build_model(grid, atlas, tokens, sizes, objective)
    load_weights(model, select(tensors, "model."), path)
    return Pretrained(
        model=model.eval(),
        grid=grid,
        atlas=atlas,
        tokens=tokens,
        sizes=sizes,
        subjects=tuple(content["subjects"]),
        mean=tensors["normalisation.mean"].numpy(),
        deviation=tensors["normalisation.deviation"].numpy(),
        about=content["about"],
        objective=objective,
    )


def save_tensors(path: Path, tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> Path:
    """Write `path`.safetensors and `path`.json; a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights, sidecar = path.with_name(f"{path.name}.safetensors"), path.with_name(f"{path.name}.json")
    with whole(weights) as partial:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial)
    with whole(sidecar) as partial:
        partial.write_text(json.dumps(content, indent=1))
    return weights


def load_tensors(weights: Path, kind: str, version: int = FORMAT) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read one checkpoint file and its JSON.

    Raises:
        CheckpointError: A file is missing, or it holds another kind or format.
    """
    sidecar = weights.with_suffix(".json")
    for file in (weights, sidecar):
        if not file.is_file():
            raise CheckpointError(f"{file}: missing. A checkpoint is a .safetensors file with a .json file beside it.")
    try:
        content, tensors = json.loads(sidecar.read_text()), load_file(weights)
    except (json.JSONDecodeError, SafetensorError) as error:
        raise CheckpointError(f"{weights}: it or its .json file is damaged ({error}). Copy or make it again.") from None
    _check_kind(sidecar, content, kind, version)
    return tensors, content


def _check_kind(sidecar: Path, content: Any, kind: str, version: int) -> None:
    about = content if isinstance(content, dict) else {}
    found, its_kind = about.get("fmrifm_checkpoint"), about.get("kind")
    if not isinstance(found, int):
        raise CheckpointError(f"{sidecar}: no checkpoint of fmrifm (it names no format). Make it again.")
    if its_kind != kind:
        raise CheckpointError(
            f"{sidecar}: a checkpoint of kind {its_kind}, expected {kind}. Give the other run folder."
        )
    if found > version:
        raise CheckpointError(
            f"{sidecar}: format {found} of a newer fmrifm; this version reads format {version}. Update fmrifm."
        )
    if found < version:
        raise CheckpointError(
            f"{sidecar}: format {found} of an older fmrifm; this version reads format {version}. Make it again, or "
            "read it with the version that its provenance.json names."
        )


def load_weights(module: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> None:
    """Put saved weights into a network.

    Raises:
        CheckpointError: They are of another network.
    """
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise CheckpointError(f"{path}: its weights do not fit this version of fmrifm ({said}). Train again.") from None


def select(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose name starts with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def find_weights(path: Path) -> Path:
    """The .safetensors file of a run folder, of its `checkpoints` folder, or itself.

    Raises:
        CheckpointError: There is none.
    """
    if path.suffix == ".safetensors":
        return path
    for folder in (path / "checkpoints", path):
        for name in ("best", "last", "pretrained"):
            if (found := folder / f"{name}.safetensors").is_file():
                return found
    raise CheckpointError(
        f"{path}: no checkpoint here. Expected the run folder of `fmrifm pretrain` or `fmrifm finetune`, "
        "or a .safetensors file."
    )
