"""Sharing pretrained models: read one from a folder or from the Hugging Face hub, and publish one with its card.

What is published is what a run folder holds: weights (safetensors), their JSON, provenance, metrics and a README.md
that is filled from them. Nothing that is read from elsewhere is unpickled or run.
"""

import json
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub import HfApi, errors, snapshot_download
from jinja2 import Environment, PackageLoader, StrictUndefined

from fmrifm.errors import CheckpointError, ConfigError
from fmrifm.training.checkpoint import Pretrained, find_weights, load_pretrained

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_READ = ("*.safetensors", "*.json")
"""What is downloaded: nothing that could be run or unpickled."""
_UNREACHABLE: tuple[type[BaseException], ...] = (*errors.HfHubHTTPError.__bases__, errors.HFValidationError)
"""What huggingface_hub raises where the hub says no or cannot be reached: errors of its client, and OSError."""
_BESIDE = ("provenance.json", "metrics.json", "config.yaml")


def from_pretrained(path_or_hub_id: str | Path, revision: str | None = None) -> Pretrained:
    """Load a pretrained model.

    Args:
        path_or_hub_id: A run folder, one of its checkpoints, or `owner/name` of a repository on the hub. What lies on
            the disk goes before the hub.
        revision: Branch, tag or commit of the repository; its main branch by default.

    Raises:
        CheckpointError: Nothing there, incomplete, of another format, or out of reach.
    """
    local = Path(path_or_hub_id)
    if local.exists() or not _REPOSITORY.fullmatch(str(path_or_hub_id)):
        return load_pretrained(local)
    return load_pretrained(_download(str(path_or_hub_id), revision))


def _download(repository: str, revision: str | None) -> Path:
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(_READ)))
    except _UNREACHABLE as error:
        said = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{repository}: no such file or folder, and not to be had from the Hugging Face hub ({said}). Check the "
            "name, log in with `hf auth login` where it is private, or give a run folder."
        ) from None


def publish(run: str | Path, folder: str | Path) -> Path:
    """Write what `push_to_hub` uploads into a folder, to look at it first, or to share it in another way.

    Args:
        run: Run folder of `fmrifm pretrain`.
        folder: Folder to make; it must not exist.

    Returns:
        The folder, from which `from_pretrained` reads.

    Raises:
        CheckpointError: No finished run there.
        ConfigError: The folder exists.
    """
    run, folder = Path(run), Path(folder)
    if folder.exists():
        raise ConfigError(f"{folder}: exists. Choose a folder that does not.")
    if not (run / "provenance.json").is_file():
        raise CheckpointError(f"{run}: no provenance.json, expected the folder of a finished run. Let it end first.")
    weights, pretrained = find_weights(run), load_pretrained(run)
    card = model_card(run, pretrained)
    folder.mkdir(parents=True)
    for file in (weights, weights.with_suffix(".json")):
        shutil.copyfile(file, folder / file.name)
    for name in _BESIDE:
        if (run / name).is_file():
            shutil.copyfile(run / name, folder / name)
    (folder / "README.md").write_text(card)
    return folder


def push_to_hub(run: str | Path, repository: str, *, private: bool = True, token: str | None = None) -> str:
    """Upload a pretrained model with its card.

    Args:
        run: Run folder of `fmrifm pretrain`.
        repository: `owner/name` on the Hugging Face hub; made where it does not exist.
        private: Whether a repository that is made is private.
        token: Of the hub; by default the one that `hf auth login` keeps.

    Returns:
        The address of the upload.

    Raises:
        CheckpointError: No finished run there, or the hub refuses.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise ConfigError(f"{repository}: expected owner/name of a repository on the hub.")
    with TemporaryDirectory() as scratch:
        folder = publish(run, Path(scratch) / "model")
        api = HfApi(token=token)
        try:
            api.create_repo(repository, private=private, exist_ok=True)
            return str(api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Add a fmrifm model"))
        except _UNREACHABLE as error:
            said = " ".join(str(error).split())[:200]
            raise CheckpointError(
                f"{repository}: could not be uploaded ({said}). Log in with `hf auth login`, and check that the name "
                "is yours."
            ) from None


def model_card(run: Path, pretrained: Pretrained) -> str:
    """Fill the model card, Markdown with the hub's YAML head, from what the run says of itself."""
    provenance, metrics = _json(run / "provenance.json"), _json(run / "metrics.json")
    templates = Environment(
        loader=PackageLoader("fmrifm"), undefined=StrictUndefined, trim_blocks=True, autoescape=True
    )
    masking = dict(pretrained.about.get("masking", {}))
    return templates.get_template("model_card.md.j2").render(
        cohort=provenance.get("cohort", {}),
        provenance=provenance,
        scores=metrics.get("scores", {}),
        masking=masking,
        sizes=pretrained.sizes,
        tokens=pretrained.tokens,
        spacing_mm=" x ".join(f"{edge:g}" for edge in pretrained.grid.spacing_mm),
        cleaning={name: value for name, value in (pretrained.about.get("cleaning") or {}).items() if value},
        parameters=sum(parameter.numel() for parameter in pretrained.model.parameters()),
        regions=len(pretrained.model.tokenizer.values),
        subjects=len(pretrained.subjects),
    )


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.is_file() else {}
