"""The run folder: what every stage leaves, so that others can read it and redo it.

config.yaml      the settings, complete: `fmrifm STAGE --config RUN/config.yaml` redoes the run
scans.tsv        the store's scan table
metrics.json     scores, baselines, folds, leakage
provenance.json  versions, command, config hash, store fingerprint, commit, seed, device, wall time; written last
"""

import hashlib
import json
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import yaml
from lightning.pytorch.utilities import rank_zero_only
from safetensors import SafetensorError

from fmrifm.atlas import Atlas
from fmrifm.data.store import Store
from fmrifm.errors import ConfigError, FmrifmError
from fmrifm.evaluation.metrics import Score
from fmrifm.evaluation.splits import Fold
from fmrifm.training.faults import no_room
from fmrifm.training.files import whole

PACKAGES = (
    "fmrifm",
    "torch",
    "lightning",
    "monai",
    "captum",
    "nilearn",
    "nibabel",
    "zarr",
    "scikit-learn",
    "combatlearn",
    "numpy",
)


class RunConfig(Protocol):
    """What the settings of all stages have in common."""

    @property
    def out(self) -> str:
        """Run folder to write."""

    @property
    def seed(self) -> int:
        """Seed of the stage."""


@dataclass
class RunFolder:
    """An open run folder."""

    path: Path
    device: str = "cpu"
    """Where the network ran; a stage that uses another device says so."""
    finished: bool = True
    """False where the stage left a part of its work to other calls; the folder is not signed then."""

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    def write_metrics(
        self,
        scores: Mapping[str, Score],
        *,
        baselines: Mapping[str, Mapping[str, Score]] | None = None,
        folds: Sequence[Fold] = (),
        leakage: Sequence[str] = (),
        differences: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Write metrics.json; `differences` to each baseline by metric are there where they were taken."""
        content = {
            "scores": _to_json(scores),
            "baselines": {name: _to_json(table) for name, table in (baselines or {}).items()},
            "folds": [{"fold": number, **asdict(fold)} for number, fold in enumerate(folds)],
            "leakage": list(leakage),
            **({} if differences is None else {"differences": differences}),
        }
        _write_json(self.path / "metrics.json", content)


@contextmanager
def run_folder(stage: str, config: RunConfig, store: Store | None, *, resume: bool = False) -> Iterator[RunFolder]:
    """Open a run folder, and sign it with provenance.json when the stage has succeeded.

    Args:
        stage: Name of the stage.
        config: Its settings, a dataclass.
        store: The store it reads; None where it makes its own data.
        resume: Accept a folder in which a run was begun.

    Raises:
        ConfigError: The folder is a file, or holds anything and `resume` is off.
    """
    run = RunFolder(path := Path(config.out))
    if getattr(rank_zero_only, "rank", 0):  # on many devices the first process opens and signs the folder for all
        yield run
        return
    _check_free(path, stage, resume)
    path.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_dump(plain(asdict(config)), sort_keys=False)  # type: ignore[call-overload]
    with whole(path / "config.yaml") as partial:
        partial.write_text(settings)
    if store is not None:
        store.scans.to_csv(path / "scans.tsv", sep="\t", index=False)
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        yield run
    except FmrifmError:
        _withdraw(path)
        raise
    except (OSError, RuntimeError, SafetensorError) as error:
        if no_room(error):
            raise ConfigError(
                f"{path}: no room left on its disk, or in its quota. Files that were complete are as they were. "
                f"Make room, or choose another --out{_hint(stage)}."
            ) from error
        raise
    if not run.finished:
        return
    _write_json(
        path / "provenance.json",
        {
            "stage": stage,
            "command": _command(stage, path),
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            "config_hash": hashlib.sha256(settings.encode()).hexdigest()[:16],
            "store": None if store is None else str(store.path),
            "store_fingerprint": None if store is None else store.fingerprint,
            "git_commit": _git_commit(),
            "seed": config.seed,
            "device": run.device,
            "started": started.isoformat(timespec="seconds"),
            "wall_time_s": round(time.monotonic() - clock, 1),
            "cohort": {} if store is None else _cohort(store),
        },
    )


def check_same_settings(config: RunConfig, may_differ: Sequence[str]) -> None:
    """Refuse to go on as another experiment in a folder where a run was begun.

    Args:
        config: Settings of the stage, a dataclass.
        may_differ: Names, dotted, of settings and of groups of them on which no result depends.

    Raises:
        ConfigError: Another setting differs.
    """
    if not (begun := Path(config.out) / "config.yaml").is_file():
        return
    before = _by_dotted_name(_settings_in(begun))
    now = _by_dotted_name(plain(asdict(config)))  # type: ignore[call-overload]
    for name in sorted(before.keys() | now.keys()):
        free = name in may_differ or name.split(".")[0] in may_differ
        if before.get(name) != now.get(name) and not free:
            raise ConfigError(
                f"{begun}: the run was begun with {name} {before.get(name)}, not {now.get(name)}. "
                "Go on with the same settings, or choose another --out."
            )


def _settings_in(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML ({' '.join(str(error).split())}). Choose another --out.") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds no settings by name. Choose another --out.")
    return content


def _by_dotted_name(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings as options name them: {"masking": {"ratio": 0.75}} to {"masking.ratio": 0.75}."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _by_dotted_name(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _check_free(path: Path, stage: str, resume: bool) -> None:
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path}: a file; expected a folder to write. Choose another --out.")
    if path.exists() and any(path.iterdir()) and not resume:
        raise ConfigError(f"{path}: not empty. Choose another --out, or remove it{_hint(stage)}.")


def _withdraw(path: Path) -> None:
    """Leave nothing of a run that was refused before it wrote results: the mended command may use the same folder."""
    written = {"config.yaml", "scans.tsv"}
    if {file.name for file in path.iterdir()} == written:
        for name in written:
            (path / name).unlink()
        path.rmdir()


def plain(value: Any) -> Any:
    """Turn settings into what YAML holds; an object given from Python is kept by its name."""
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def names(atlas: Atlas, values: Sequence[int]) -> list[str]:
    """Names of regions by their atlas values."""
    return [str(name) for name in atlas.regions.set_index("index").loc[list(values), "name"]]


def _cohort(store: Store) -> dict[str, Any]:
    atlas = store.atlas
    return {
        "name": store.name,
        "synthetic": store.synthetic,
        "atlas": atlas.name,
        "regions": len(atlas.regions) - len(atlas.lost),
        "rescued": names(atlas, atlas.rescued),
        "lost": names(atlas, atlas.lost),
        "planted": store.planted,
    }


def _command(stage: str, path: Path) -> str:
    if len(sys.argv) > 1 and sys.argv[1] == stage:
        return shlex.join(["fmrifm", *sys.argv[1:]])
    return shlex.join(["fmrifm", stage, "--config", str(path / "config.yaml")])


def _git_commit() -> str | None:
    if (git := shutil.which("git")) is None:
        return None
    here = Path(__file__).parent
    asked = subprocess.run([git, "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)  # noqa: S603
    return asked.stdout.strip() or None


def _hint(stage: str) -> str:
    return "; --resume goes on with a run that was interrupted" if stage == "pretrain" else ""


def _to_json(scores: Mapping[str, Score]) -> dict[str, Any]:
    return {name: score.to_json() for name, score in scores.items()}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with whole(path) as partial:
        partial.write_text(json.dumps(content, indent=1, default=str))
