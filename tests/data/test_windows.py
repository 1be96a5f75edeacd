from collections import Counter

import numpy as np
import pytest
import torch

from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter
from fmrifm.data.windows import RandomPlaces, Windows

VOLUMES = {"a": 31, "b": 32, "c": 33, "d": 38}


@pytest.fixture(scope="module")
def store(tmp_path_factory, grid, atlas) -> Store:
    """Four scans of unequal lengths, the last with a longer repetition time."""
    rng, voxels = np.random.default_rng(0), len(atlas.labels)
    path = tmp_path_factory.mktemp("windows") / "store.zarr"
    with StoreWriter(path, grid=grid, atlas=atlas, settings={}) as writer:
        for scan, volumes in VOLUMES.items():
            row = {"scan": scan, "tr_s": 2.5 if scan == "d" else 2.0}
            writer.add(row, rng.normal(size=(volumes, voxels)), np.ones(voxels), np.arange(voxels))
    return Store(path)


@pytest.fixture
def windows(store) -> Windows:
    return Windows(store, ["c", "a", "d"], volumes=8)


def test_a_window_is_the_named_stretch_of_its_scan(windows):
    window = windows[2, 5]
    assert torch.equal(window.signal, torch.from_numpy(windows.store.window("d", 5, 8)))
    assert window.signal.shape == (8, 100)
    assert window.signal.dtype == torch.float32
    assert window.covered.tolist() == [False] + 99 * [True]
    assert (window.tr_s.item(), window.scan.item()) == (2.5, 2)


def test_windows_cover_a_scan_and_the_last_overlaps_rather_than_drop_the_tail(windows):
    assert windows.cover(0) == [(0, 0), (0, 8), (0, 16), (0, 24), (0, 25)]


def test_a_scan_of_whole_windows_is_covered_without_overlap(store):
    assert Windows(store, ["b"], volumes=16).cover(0) == [(0, 0), (0, 16)]


def test_a_scan_as_long_as_a_window_gives_one(store):
    assert Windows(store, ["b"], volumes=32).cover(0) == [(0, 0)]


@pytest.mark.parametrize(("most", "starts"), [(1, [0]), (2, [0, 25]), (3, [0, 16, 25]), (5, [0, 8, 16, 24, 25])])
def test_fewer_windows_are_picked_evenly(windows, most, starts):
    assert [start for _, start in windows.cover(0, most)] == starts


def test_a_batch_has_the_windows_in_the_order_asked_for(windows):
    places = [*windows.cover(0, 2)][::-1]
    batch = windows.batch(places)
    for row, place in enumerate(places):
        assert all(torch.equal(part[row], alone) for part, alone in zip(batch, windows[place], strict=True))


def test_an_epoch_draws_equally_many_windows_of_each_scan_that_lie_inside_it(windows):
    places = list(RandomPlaces(windows, per_scan=40, seed=0))
    assert Counter(scan for scan, _ in places) == {0: 40, 1: 40, 2: 40}
    last = {scan: max(start for where, start in places if where == scan) for scan in range(3)}
    assert last == {0: 25, 1: 23, 2: 30}
    assert min(start for _, start in places) == 0


def test_scans_are_mixed_within_an_epoch(windows):
    scans = np.array([scan for scan, _ in RandomPlaces(windows, per_scan=40, seed=0)])
    assert np.count_nonzero(np.diff(scans)) > 40


def test_an_epoch_depends_on_the_seed_and_its_number_alone(windows):
    def drawn(seed: int, epoch: int) -> list[tuple[int, int]]:
        places = RandomPlaces(windows, per_scan=4, seed=seed)
        places.set_epoch(epoch)
        assert len(places) == 12
        return list(places)

    assert drawn(0, 3) == drawn(0, 3)
    assert drawn(0, 3) != drawn(0, 4)
    assert drawn(0, 3) != drawn(1, 3)


@pytest.fixture
def scrubbed(tmp_path, grid, atlas) -> Windows:
    """One scan of 40 volumes in segments of 10, 7, 8 and 15."""
    voxels = len(atlas.labels)
    with StoreWriter(tmp_path / "s.zarr", grid=grid, atlas=atlas, settings={}) as writer:
        signal = np.random.default_rng(0).normal(size=(40, voxels))
        writer.add({"scan": "a", "tr_s": 2.0, "segments": [10, 7, 8, 15]}, signal, np.ones(voxels), np.ones(voxels))
    return Windows(Store(tmp_path / "s.zarr"), ["a"], volumes=8)


def test_no_window_reaches_over_a_gap_that_scrubbing_left(scrubbed):
    inside = [0, 1, 2, 17, *range(25, 33)]  # volumes 10 to 16 are too short a segment
    assert [scrubbed.start(0, number) for number in range(scrubbed.n_starts(0))] == inside
    assert {start for _, start in RandomPlaces(scrubbed, per_scan=400, seed=0)} == set(inside)
    with pytest.raises(IndexError, match="has 12 windows of 8 volumes"):
        scrubbed.start(0, 12)


def test_every_segment_is_covered_to_its_end(scrubbed):
    assert scrubbed.cover(0) == [(0, 0), (0, 2), (0, 17), (0, 25), (0, 32)]
