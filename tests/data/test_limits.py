from pathlib import Path

import numpy as np
import pytest

from fmrifm.data.grid import Grid
from fmrifm.data.images import open_scan
from fmrifm.data.limits import Limits
from fmrifm.errors import DataError

PATH = Path("run.nii")


def test_the_brain_outside_the_box_counts(bold_path: Path, grid: Grid) -> None:
    # The box ends at 9, 11 and 13 mm; of the mask's 4 x 5 x 5 voxels 3 x 1 x 4 lie in it.
    scan = open_scan(bold_path)
    with pytest.raises(DataError, match=r"field of view holds 12\.0% of the brain mask, expected at least 30%"):
        Limits(min_coverage=0.3).check_field_of_view(scan, grid)


def test_memory_is_that_of_float32_on_the_grid(bold_path: Path, grid: Grid) -> None:
    scan = open_scan(bold_path)  # 20 volumes, 100 brain voxels: 8,000 bytes
    Limits(max_gib=8000 / 2**30).check_memory(scan, grid)
    with pytest.raises(DataError, match="20 volumes of 100 brain voxels need"):
        Limits(max_gib=7999 / 2**30).check_memory(scan, grid)


def test_each_limit_is_the_last_value_that_is_taken() -> None:
    broken, deviation = np.arange(10) < 2, (np.arange(10) >= 7).astype(np.float32)
    Limits(max_nonfinite=0.2).check_finite(PATH, broken)
    with pytest.raises(DataError, match=r"NaN or infinity in 2 voxels, 20\.00% .* at most 19\.00%"):
        Limits(max_nonfinite=0.19).check_finite(PATH, broken)
    Limits(min_coverage=0.3).check_coverage(PATH, deviation)
    with pytest.raises(DataError, match=r"signal in 30\.0% of the brain mask, expected at least 31%"):
        Limits(min_coverage=0.31).check_coverage(PATH, deviation)
    Limits(min_volumes=9).check_length(PATH, [4, 9])
    with pytest.raises(DataError, match="longest stretch that cleaning leaves has 9 volumes, expected at least 10"):
        Limits(min_volumes=10).check_length(PATH, [4, 9])


def test_no_signal_at_all_is_refused_whatever_is_asked() -> None:
    with pytest.raises(DataError, match="every voxel is constant or empty"):
        Limits().check_varies(PATH, np.zeros(4, np.float32))
    with pytest.raises(DataError, match=r"signal in 0\.5% of the brain mask, expected at least 1%"):
        Limits().check_coverage(PATH, (np.arange(200) == 3).astype(np.float32))
