"""Sharing pretrained models: read one from a folder or from the Hugging Face hub, and publish one with its card.

What is published is what a run folder holds: weights (safetensors), their JSON, provenance, metrics and a README.md
that is filled from them. Nothing that is read from elsewhere is unpickled or run.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi, errors, snapshot_download

from fmrifm.card import model_card
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


def publish(run: str | Path, folder: str | Path, *, scored: Sequence[str | Path] = (), licence: str = "other") -> Path:
    """Write what `push_to_hub` uploads into a folder, to look at it first, or to share it in another way.

    Identifiers of the subjects that the model has seen go with it, as they stand in your folders.

    Args:
        run: Run folder of `fmrifm pretrain`.
        folder: Folder to make; it must not exist.
        scored: Run folders of `fmrifm finetune` or `evaluate` whose scores and warnings stand on the card too.
        licence: SPDX identifier of the weights' licence, e.g. cc-by-nc-sa-4.0, which the terms of the scans decide.

    Returns:
        The folder, from which `from_pretrained` reads.

    Raises:
        CheckpointError: No finished run there.
        ConfigError: The folder exists.
    """
    run, folder = Path(run), Path(folder)
    if folder.exists():
        raise ConfigError(f"{folder}: exists. Choose a folder that does not.")
    runs = [run, *map(Path, scored)]
    for name in ("provenance.json", "metrics.json"):
        if missing := [str(each) for each in runs if not (each / name).is_file()]:
            raise CheckpointError(f"{missing[0]}: no {name}, expected the folder of a finished run. Let it end first.")
    weights, pretrained = find_weights(run), load_pretrained(run)
    card = model_card(run, pretrained, runs[1:], licence)
    folder.mkdir(parents=True)
    for file in (weights, weights.with_suffix(".json")):
        shutil.copyfile(file, folder / file.name)
    for name in _BESIDE:
        if (run / name).is_file():
            shutil.copyfile(run / name, folder / name)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return folder


def push_to_hub(
    run: str | Path,
    repository: str,
    *,
    scored: Sequence[str | Path] = (),
    licence: str = "other",
    private: bool = True,
    token: str | None = None,
) -> str:
    """Upload a pretrained model with its card.

    Args:
        run: Run folder of `fmrifm pretrain`.
        repository: `owner/name` on the Hugging Face hub; made where it does not exist.
        scored: As in `publish`.
        licence: As in `publish`.
        private: Whether a repository that is made is private.
        token: Of the hub; by default the one that `hf auth login` keeps.

    Returns:
        The address of the upload.

    Raises:
        CheckpointError: No finished run there, or the hub refuses.
        ConfigError: The name is none of a repository.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise ConfigError(f"{repository}: expected owner/name of a repository on the hub.")
    with TemporaryDirectory() as scratch:
        folder = publish(run, Path(scratch) / "model", scored=scored, licence=licence)
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
