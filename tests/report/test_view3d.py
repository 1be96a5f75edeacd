import json
import re

import nibabel as nib
import numpy as np
import pytest

from fmrifm.report.view3d import interactive_map


def saved(path, values):
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    affine[:3, 3] = (-88, -124, -70)
    nib.Nifti1Image(values.astype(np.float32), affine).to_filename(path)
    return path


@pytest.fixture
def path(tmp_path):
    """A map with one strongest region, of 3 x 3 x 3 voxels around (4, 6, 8), which is (-56, -76, -6) mm."""
    values = np.zeros((22, 26, 23))
    values[3:6, 5:8, 7:10] = -0.5
    values[15, 15, 15] = 0.25
    return saved(tmp_path / "map.nii.gz", values)


def settings(html):
    return json.loads(re.search(r'<script type="application/json" id="settings">(.*?)</script>', html)[1])


def test_the_view_starts_in_the_middle_of_the_strongest_region(path):
    found = settings(interactive_map(path, "log-odds", "").html)
    slices = [found["numSlice"][axis] + 1 for axis in "XYZ"]  # the viewer counts from 1
    np.testing.assert_allclose((np.array(found["affine"]) @ [*slices, 1])[:3], (-56, -76, -6), atol=2)


def test_unit_and_ends_of_the_scale_are_named(path):
    view = interactive_map(path, "<log-odds>", "Where")
    assert "<h1>&lt;log-odds&gt;</h1>" in view.html
    assert "<p>−0.5 <img" in view.html
    assert view.alt == "Slices of the brain to move through, coloured by <log-odds>, from −0.5 to 0.5."
    assert view.caption == "Where"


def test_the_document_loads_nothing_and_is_small(path):
    html = interactive_map(path, "log-odds", "").html
    assert "://" not in html
    assert "jQuery" not in html
    assert all(source.startswith("data:image/png;base64,") for source in re.findall(r'src="([^"]*)"', html))
    assert html.count("<script>") == 1
    assert len(html) < 400_000


def test_the_same_map_gives_the_same_document_and_other_maps_the_same_script(path, tmp_path):
    html = interactive_map(path, "log-odds", "").html
    assert interactive_map(path, "log-odds", "").html == html
    empty = interactive_map(saved(tmp_path / "zero.nii.gz", np.zeros((22, 26, 23))), "R²", "").html
    scripts = [re.findall(r"<script>(.*?)</script>", text, re.DOTALL) for text in (html, empty)]
    assert scripts[0] == scripts[1]
