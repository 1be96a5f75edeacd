import numpy as np
import pytest

from fmrifm.errors import DataError
from fmrifm.report.time_course import time_course


@pytest.fixture
def stored(make_run):
    path = make_run("pretrain").path / "time_course.npz"
    with np.load(path) as arrays:
        return path, dict(arrays)


def test_the_axis_is_in_seconds_and_the_fit_in_words(stored):
    drawn = time_course(stored[0])
    assert "over 78 s: measured and predicted time course of Hippocampus_L, r = 1.00, R² = 0.75" in drawn.svg
    assert ">time (s)<" in drawn.svg
    assert "over 40 volumes" in drawn.caption


def test_a_hostile_region_is_text(stored):
    path, arrays = stored
    np.savez(path, **{**arrays, "region": "<script>alert(1)</script>"})
    drawn = time_course(path)
    assert "<script" not in drawn.svg
    assert drawn.caption.startswith("<script>")  # escaped by the template


def test_damaged_files_say_what_to_do(stored):
    path, arrays = stored
    np.savez(path, **{**arrays, "true": arrays["true"][1:]})
    with pytest.raises(DataError, match=r"true \(39,\) and predicted \(40,\) differ\. Run pretrain again"):
        time_course(path)
    np.savez(path, true=arrays["true"])
    with pytest.raises(DataError, match=r"expected also .*'predicted'.*Run pretrain again"):
        time_course(path)
