"""Fixtures that many tests share: tiny, seeded, with unequal axes."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fmrifm.data.grid import Grid


@pytest.fixture
def grid() -> Grid:
    """A 2 mm grid of 5 x 6 x 7 voxels, off the origin; its mask leaves out a face of each axis."""
    mask = np.zeros((5, 6, 7), dtype=bool)
    mask[1:, :5, 2:] = True
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-4.0, 10.0, -6.0)
    return Grid(affine=affine, mask=mask)


@pytest.fixture
def bold_path(tmp_path: Path) -> Path:
    """A 4D run on disk: four unequal axes, 2 mm voxels, TR 1.5 s, seeded noise around 100."""
    data = 100 + np.random.default_rng(0).normal(size=(5, 6, 7, 20)).astype(np.float32)
    image = nib.Nifti1Image(data, affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header.set_zooms((2.0, 2.0, 2.0, 1.5))
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(path := tmp_path / "sub-01_task-rest_bold.nii.gz")
    return path


@pytest.fixture
def test_data() -> Path:
    """The folder of real files that FMRIFM_TEST_DATA names; without it the test is skipped."""
    if not (folder := os.environ.get("FMRIFM_TEST_DATA")):
        pytest.skip("needs real files: set FMRIFM_TEST_DATA to their folder")
    return Path(folder)
