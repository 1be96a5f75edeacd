import re

import nibabel as nib
import numpy as np
import pytest

from fmrifm.report.glass import glass_brain


@pytest.fixture
def path(tmp_path):
    """A map that is 2 in a cube on the left, near the back, and 0 elsewhere."""
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = (-88, -124, -70)
    values = np.zeros((45, 54, 46), np.float32)
    values[8:16, 10:18, 20:28] = 2.0
    nib.Nifti1Image(values, affine).to_filename(tmp_path / "map.nii.gz")
    return tmp_path / "map.nii.gz"


def test_outlines_and_letters_take_the_colours_of_the_page(path):
    svg = str(glass_brain(path, "share <of> attention", "").svg)
    assert svg.count("stroke: var(--muted)") > 50
    assert svg.count(">L</text>") == svg.count(">R</text>") == 2
    assert ">share &lt;of&gt; attention</text>" in svg
    assert "coloured by share &lt;of&gt; attention, from −2 to 2." in svg
    assert not re.search(r"(fill|stroke): #(808080|000000)", svg)


def test_the_projection_lies_on_its_side_and_the_rest_is_transparent(path):
    front = next(axes for axes in glass_brain(path, "unit", "").figure.axes if axes.get_images() and _spans_x(axes))
    shown = np.asarray(front.get_images()[0].get_array())
    columns = np.flatnonzero((shown == 2).any(axis=0))
    assert len(columns) > 0
    assert columns.max() < shown.shape[1] / 2  # left on the left
    assert (shown[:, shown.shape[1] // 2 :] == 0).all()


def _spans_x(axes) -> bool:
    """The view from behind: as wide as the brain, and not as tall as it is long."""
    height, width = axes.get_images()[0].get_array().shape
    return (height, width) == (46, 45)
