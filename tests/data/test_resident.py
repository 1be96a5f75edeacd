from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from fmrifm.data.resident import Places, ResidentScans, free_bytes, may_reside, resident_bytes
from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter
from fmrifm.data.windows import Windows
from fmrifm.errors import ConfigError

CPU, GPU = torch.device("cpu"), torch.device("cuda")
GIB = 2**30


@pytest.fixture(params=["float16", "int8"])
def windows(request, tmp_path: Path, grid, atlas) -> Windows:
    """Four scans of unequal length, coverage and repetition time, not in the order of the store."""
    rng, voxels = np.random.default_rng(0), len(atlas.labels)
    with StoreWriter(tmp_path / "s.zarr", grid=grid, atlas=atlas, settings={}, encoding=request.param) as writer:
        for number, volumes in enumerate((31, 24, 33, 50)):
            row = {"scan": f"s{number}", "tr_s": 2.0 + number}
            deviation = np.arange(voxels) % (number + 2)
            writer.add(row, 3 * rng.normal(size=(volumes, voxels)), np.ones(voxels), deviation)
    return Windows(Store(tmp_path / "s.zarr"), ["s2", "s0", "s3"], volumes=8)


def test_windows_on_the_device_are_those_that_are_read_bit_for_bit(windows: Windows) -> None:
    places = [(0, 0), (2, 42), (1, 23), (0, 25), (2, 17)]
    read = default_collate([windows[place] for place in places])
    kept = ResidentScans(windows, CPU).windows(default_collate([Places()[place] for place in places]))
    for name, expected in read._asdict().items():
        found = getattr(kept, name)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape), name
        assert torch.equal(found, expected), name


def test_signal_is_kept_as_small_as_it_is_stored_and_counted_to_the_byte(windows: Windows) -> None:
    kept = ResidentScans(windows, CPU)
    assert kept.signal.dtype == getattr(torch, windows.store.encoding)
    large = [part for part in (kept.signal, kept.scale, kept.covered) if part is not None]
    assert resident_bytes(windows) == sum(part.nbytes for part in large)


@pytest.mark.parametrize(
    ("how", "needed", "device", "kept"),
    [
        ("auto", 5, GPU, True),
        ("auto", 6, GPU, False),
        ("auto", 1, CPU, False),
        ("always", 10, CPU, True),
        ("always", 10, GPU, True),
        ("never", 1, GPU, False),
    ],
)
def test_auto_takes_half_of_what_a_gpu_has_left_and_never_the_processor(how, needed, device, kept) -> None:
    assert may_reside(how, needed * GIB, 10 * GIB, device) is kept


def test_what_does_not_fit_is_said_with_both_sizes() -> None:
    with pytest.raises(ConfigError, match=r"need 12\.5 GiB and cuda has 10 GiB free\. Prepare the store with .*int8"):
        may_reside("always", int(12.5 * GIB), 10 * GIB, GPU)


def test_the_processor_has_memory_left() -> None:
    assert 2**20 < free_bytes(CPU) < 2**50
