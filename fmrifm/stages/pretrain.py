"""`fmrifm pretrain`: masked reconstruction, prediction of the next volumes or both on every scan of a store.

Leaves in the run folder, besides what every run holds: checkpoints/best and last (safetensors),
checkpoints/resume.ckpt and previous.ckpt, logs/ (CSV, TensorBoard), reconstruction.npz (one held-out volume),
time_course.npz (one region of a held-out scan, hidden whole).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback, LearningRateMonitor

from fmrifm.config import PretrainConfig
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.errors import CheckpointError, DataError
from fmrifm.evaluation.foresight import foresight_scores
from fmrifm.evaluation.metrics import Score
from fmrifm.evaluation.reconstruction import picture, reconstruction_scores
from fmrifm.evaluation.time_course import time_course
from fmrifm.masking import Masker, masker_for
from fmrifm.stages.folder import RunFolder, check_same_settings, plain, run_folder
from fmrifm.stages.inputs import long_enough
from fmrifm.training.assembly import assemble
from fmrifm.training.callbacks import SaveWeights
from fmrifm.training.checkpoint import Pretrained, load_pretrained
from fmrifm.training.compiled import compile_blocks
from fmrifm.training.datamodule import device_share, split_subjects
from fmrifm.training.faults import TellWhatFits, in_words
from fmrifm.training.guard import SkipBroken
from fmrifm.training.logs import continued_log
from fmrifm.training.population import fit_population
from fmrifm.training.resume import RESUME, SaveState, StateFiles, state_file
from fmrifm.training.tracking import loggers
from fmrifm.training.trainer import OWN_SHARES, make_trainer

_MAY_DIFFER = (
    "store", "out", "resume", "data.workers", "data.resident", "model.compile", "model.checkpointing", "save_every",
    "tracking", "trainer",
)  # fmt: skip
"""Settings that may change where a run is resumed: the weights do not depend on them, but for rounding."""

PRIOR = "population prior"
"""Baseline of a pretraining: what the decoder starts from, without the network."""


def pretrain(config: PretrainConfig) -> Path:
    """Pretrain and return the run folder.

    Raises:
        DataError: The store is none, or has too few scans that are long enough.
        CheckpointError: `resume` without a run to go on with.
        ConfigError: `resume` with other settings than those of the run, or the devices, memory or disk do not suffice.
        StoppedError: A scheduler asked for it; the state is saved.
    """
    store = Store(config.store)
    resume = _state(config) if config.resume else None
    with run_folder("pretrain", config, store, resume=config.resume) as run:
        L.seed_everything(config.seed, verbose=False)
        scans = long_enough(store, config.tokens.window_volumes)
        train, held = split_subjects(scans, config.validation, config.seed)
        if not train:
            raise DataError(f"{config.store}: one subject only. Pretraining needs two, one of them to measure on.")
        keys = {name: scans.loc[scans["subject"].isin(part), "scan"].tolist() for name, part in
                (("train", train), ("held", held))}  # fmt: skip
        module, data = assemble(store, config, keys["train"], keys["held"])
        describe = _describer(config, store, module.model, keys["train"], subjects=(*train, *held))
        if resume is None and "mask" in config.objective:  # nothing else reads the prior
            fit_population(module.model, data.train, config.seed)
        if config.model.compile:
            compile_blocks(module.model)
        state, memory = SaveState(run.checkpoints, config.save_every), TellWhatFits()
        watched = "val/r2_voxel" if "mask" in config.objective else "val/skill_next"
        guard = SkipBroken(data.train.scans, config.optim.broken_steps)
        trainer = _trainer(config, run, [SaveWeights(run.checkpoints, watched, describe), guard, memory, state])
        device_share(config.optim.batch_size, trainer)
        with continued_log(run.path / "logs"), state.asked.listening(), in_words(memory):
            trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
        run.device = str(trainer.strategy.root_device)  # Lightning has moved the module back to the CPU
        if trainer.is_global_zero:
            _score(config, store, run, keys["held"])
    return run.path


def _trainer(config: PretrainConfig, run: RunFolder, callbacks: list[Callback]) -> L.Trainer:
    callbacks = [*callbacks, LearningRateMonitor("step")]
    given = config.trainer.get("callbacks") or []
    return make_trainer(
        {**config.trainer, **OWN_SHARES, "callbacks": [*callbacks, *(given if isinstance(given, list) else [given])]},
        gradient_clip_val=1.0,
        log_every_n_steps=10,
        logger=loggers(config.tracking, run.path, plain(asdict(config))),
        num_sanity_val_steps=0,
        enable_model_summary=False,
        plugins=[StateFiles()],
    )


def _describer(
    config: PretrainConfig, store: Store, model: Any, train: list[str], subjects: tuple[str, ...]
) -> Callable[[Mapping[str, Any]], Pretrained]:
    """Everything that a checkpoint says about itself, but for the moment it is written."""
    mean = np.mean([store.mean(key) for key in train], axis=0)
    deviation = np.mean([store.deviation(key) for key in train], axis=0)

    def describe(moment: Mapping[str, Any]) -> Pretrained:
        return Pretrained(
            model=model,
            grid=store.grid,
            atlas=store.atlas,
            tokens=config.tokens,
            sizes=config.model,
            subjects=subjects,
            mean=mean,
            deviation=deviation,
            objective=config.objective,
            about={
                "masking": asdict(config.masking),
                "store_fingerprint": store.fingerprint,
                "cleaning": store.attributes["settings"].get("cleaning", {}),
                "encoding": store.encoding,
                **moment,
            },
        )

    return describe


def _state(config: PretrainConfig) -> Path | None:
    """The state to go on from; None where the run was interrupted before it had saved one, and begins again."""
    check_same_settings(config, _MAY_DIFFER)
    folder = Path(config.out) / "checkpoints"
    found = state_file(folder)
    if found is None and not folder.with_name("config.yaml").is_file():
        raise CheckpointError(f"{folder / RESUME}: missing, so there is nothing to resume. Start without --resume.")
    return found


def _score(config: PretrainConfig, store: Store, run: RunFolder, held: list[str]) -> None:
    """Score the best weights on the held-out subjects; of what was reconstructed keep a picture."""
    best = load_pretrained(run.checkpoints / "best.safetensors")
    windows = Windows(store, held, config.tokens.window_volumes)
    subjects = store.scans.set_index("scan").loc[held, "subject"].to_numpy()
    scores: dict[str, Score] = {}
    baselines: dict[str, dict[str, Score]] = {}
    if "mask" in config.objective:
        masker = masker_for(best.model.tokenizer.pool, config.masking)
        score = partial(reconstruction_scores, best.model, windows, masker, subjects, config.seed)
        scores = score()
        if best.model.prior is not None:
            baselines[PRIOR] = score(lambda batch, _, drawn: best.model.expect(batch.signal, batch.covered, drawn))
        _draw(config, run, best, windows, masker)
    if "next" in config.objective:
        scores |= foresight_scores(best.model, windows, subjects, config.seed)
    run.write_metrics(scores, baselines=baselines)


def _draw(config: PretrainConfig, run: RunFolder, best: Pretrained, windows: Windows, masker: Masker) -> None:
    """Keep a picture of one volume, and of one region's time course."""
    drawn = picture(best.model, windows, masker, best.grid, config.seed)
    np.savez_compressed(run.path / "reconstruction.npz", allow_pickle=False, **drawn)
    regions = best.atlas.regions.set_index("index").loc[best.model.tokenizer.values, "name"].tolist()
    np.savez(run.path / "time_course.npz", allow_pickle=False, **time_course(best.model, windows, regions, config.seed))
