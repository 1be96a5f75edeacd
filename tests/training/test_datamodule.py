from collections.abc import Iterator
from multiprocessing import active_children
from types import SimpleNamespace
from typing import Any

import lightning as L
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.data import Sampler

from fmrifm.config import DataConfig
from fmrifm.data.windows import Place, Window
from fmrifm.errors import ConfigError
from fmrifm.training.datamodule import PretrainData, split_subjects

SCANS = pd.DataFrame({"scan": [f"{s}{r}" for s in "abcdefghij" for r in "12"], "subject": [*"aabbccddeeffgghhiijj"]})


@pytest.mark.parametrize(("validation", "held"), [(0.01, 1), (0.3, 3), (0.5, 5)])
def test_every_subject_is_on_one_side(validation, held):
    train, validation_subjects = split_subjects(SCANS, validation, seed=0)
    assert len(validation_subjects) == held
    assert sorted(train + validation_subjects) == list("abcdefghij")
    assert (train, validation_subjects) == (sorted(train), sorted(validation_subjects))


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_the_table():
    assert split_subjects(SCANS, 0.3, seed=1) == split_subjects(SCANS[::-1], 0.3, seed=1)
    assert split_subjects(SCANS, 0.3, seed=1) != split_subjects(SCANS, 0.3, seed=2)


@pytest.fixture
def data(store) -> PretrainData:
    train, held = [f"s{n:02d}_1" for n in range(1, 6)], ["s06_1", "s09_1"]
    return PretrainData(store, train, held, DataConfig(windows_per_scan=2), volumes=8, batch_size=4, seed=0)


def test_training_batches_hold_the_windows_drawn_for_their_epoch(data):
    loader = data.train_dataloader()
    assert [len(batch.signal) for batch in loader] == [4, 4, 2]
    data.places.set_epoch(7)
    places = list(data.places)
    drawn = torch.cat([batch.signal for batch in loader])
    assert torch.equal(drawn, torch.stack([data.train[place].signal for place in places]))


def test_validation_sees_the_same_windows_of_each_held_out_scan_in_every_epoch(data):
    loader = data.val_dataloader()
    first, again = (torch.cat([batch.signal for batch in loader]) for _ in range(2))
    assert torch.equal(first, again)
    expected = [data.validation[scan, start].signal for scan in (0, 1) for start in (0, 8, 16, 22)]
    assert torch.equal(first, torch.stack(expected))


def process(rank: int, of: int, *, parts: int = 1, **loops: Any) -> Any:
    """What the data see of a Trainer on one of several devices."""
    fit = SimpleNamespace(**{"restarting": False, **loops})
    known = {"world_size": of, "global_rank": rank, "accumulate_grad_batches": parts, "current_epoch": 7}
    return SimpleNamespace(fit_loop=fit, **known)


def test_two_processes_read_in_turn_the_windows_that_one_reads(data):
    """Masks are drawn for the windows of both and dealt in turn, too, so each window meets the mask it would on one."""
    halves = []
    for rank in (0, 1):
        data.trainer = process(rank, of=2)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(7)  # as Lightning does before an epoch
        assert loader.batch_size == 2
        halves.append(torch.cat([batch.signal for batch in loader]))
    data.places.set_epoch(7)
    whole = torch.stack([data.train[place].signal for place in data.places])
    assert torch.equal(torch.stack(halves, dim=1).flatten(0, 1), whole)


@pytest.mark.parametrize("of", [1, 2, 4])
def test_every_window_counts_once_however_many_processes_there_are(data, of):
    counted = []
    for rank in range(of):
        data.trainer = process(rank, of)
        batches = list(data.train_dataloader())
        assert len(batches) == 3  # the ten windows by four, the same number on each
        scans = torch.cat([batch.scan for batch in batches])
        counted += scans[scans >= 0].tolist()
    assert sorted(counted) == sorted(2 * [0, 1, 2, 3, 4])


def test_an_interrupted_epoch_goes_on_where_it_was_and_the_next_is_whole(data):
    done = SimpleNamespace(batch_progress=SimpleNamespace(current=SimpleNamespace(ready=2)))
    for rank in (0, 1):
        data.trainer = process(rank, 2, restarting=True, epoch_loop=done)
        loader = data.train_dataloader()
        assert len(loader) == 3
        for epoch, had in ((7, 4), (7, 4), (8, 0)):  # a loader with workers may begin twice
            loader.sampler.set_epoch(epoch)
            assert list(loader.sampler) == list(data.places)[rank::2][had:]


def test_a_step_that_devices_cannot_share_says_which_would_do(data):
    for (of, parts), would in {(3, 1): "3 or 6 would do", (2, 4): "8 would do"}.items():
        data.trainer = process(0, of, parts=parts)
        with pytest.raises(ConfigError, match=rf"batch_size is 4; expected a multiple of {of * parts}.* {would}"):
            data.train_dataloader()


class Batches(Callback):
    """Keeps the batches that reach the module, and whether its data were on the device."""

    def __init__(self) -> None:
        self.seen: list[Window] = []
        self.resident: set[bool] = set()

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Window, batch_idx: int) -> None:
        self.seen.append(batch)
        self.resident.add(bool(trainer.datamodule.resident))

    def on_validation_batch_start(self, trainer: Any, pl_module: Any, batch: Window, *place: int) -> None:
        self.on_train_batch_start(trainer, pl_module, batch, 0)


class Mean(L.LightningModule):
    """Learns the mean of the signal."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: Window) -> torch.Tensor:
        return (batch.signal - self.mean).square().mean()

    def validation_step(self, batch: Window) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def batches(store: Any, config: DataConfig) -> Batches:
    """Everything that two epochs of training and validation see."""
    train, held = [f"s{n:02d}_1" for n in range(1, 6)], ["s06_1", "s09_1"]
    data = PretrainData(store, train, held, config, volumes=8, batch_size=4, seed=0)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = L.Trainer(
        max_epochs=2, accelerator="cpu", num_sanity_val_steps=0, callbacks=[kept := Batches()], **quiet
    )  # fmt: skip
    trainer.fit(Mean(), datamodule=data)
    assert data.resident == {}
    return kept


@pytest.mark.parametrize("other", [{"resident": "always"}, {"resident": "always", "workers": 1}, {"workers": 1}])
def test_training_and_validation_see_the_same_windows_however_they_are_read(store, other, capsys) -> None:
    read = batches(store, DataConfig(windows_per_scan=2))
    assert capsys.readouterr().err == ""
    others = batches(store, DataConfig(windows_per_scan=2, **other))
    assert (read.resident, others.resident) == ({False}, {"resident" in other})
    assert len(read.seen) == len(others.seen) == 2 * (3 + 2)
    for one, two in zip(read.seen, others.seen, strict=True):
        assert all(torch.equal(*parts) for parts in zip(one, two, strict=True))
    said = "GiB of scans are kept in the memory of cpu (data.resident).\n"
    assert capsys.readouterr().err.endswith(said if "resident" in other else "")


class Noted(Sampler[Place]):
    """Notes the places that a loader asks for."""

    def __init__(self, places: Sampler[Place], asked: list[Place]) -> None:
        self.places = places
        self.asked = asked

    def __iter__(self) -> Iterator[Place]:
        for place in self.places:
            self.asked.append(place)
            yield place

    def __len__(self) -> int:
        return len(self.places)


def test_workers_live_through_the_epochs_and_read_ahead(store) -> None:
    config = DataConfig(windows_per_scan=4, workers=1)
    data = PretrainData(store, ["s01_1", "s02_1"], ["s03_1"], config, volumes=8, batch_size=2, seed=0)
    asked: list[Place] = []
    data.places = Noted(data.places, asked)
    others = {process.pid for process in active_children()}
    loader, workers = data.train_dataloader(), set()
    for _ in range(2):
        batch = iter(loader)
        next(batch)
        assert len(asked) == 2 * (1 + loader.prefetch_factor)  # the next ones are on their way
        workers |= {process.pid for process in active_children()} - others
        assert len(list(batch)) == 3
        asked.clear()
    assert len(workers) == 1
