import pandas as pd
import pytest
import torch

from fmrifm.config import DataConfig
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
