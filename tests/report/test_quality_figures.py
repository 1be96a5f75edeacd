import re

import numpy as np
import pandas as pd

from fmrifm.report.outliers import MEASURES
from fmrifm.report.quality_figures import by_site, carpet, coverage_map

SPIKES = MEASURES[-1]


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_the_map_writes_percent_into_cells_and_names_the_lowest() -> None:
    picture = coverage_map(pd.DataFrame({"Limbic": [1.0, 0.42], "Frontal": [0.93, 0.87]}, index=["North", "South"]))
    assert [word for word in texts(picture.svg) if word.isdigit()] == ["100", "93", "42", "87"]
    assert "North 93 % (Frontal); South 42 % (Limbic)." in picture.svg


def test_a_site_of_few_scans_is_dots_and_one_without_the_measure_is_left_out() -> None:
    values = pd.Series([1.0, 2, 3, 4, 9, 7, 8, None, None])
    picture = by_site(values, pd.Series(["a"] * 5 + ["b"] * 2 + ["c"] * 2), SPIKES)
    assert "medians: a 3; b 8." in picture.svg
    assert {"a", "b"} < set(texts(picture.svg))
    assert "c" not in texts(picture.svg)
    assert picture.caption == "Volumes that are spikes, 7 scans."


def test_a_carpet_marks_spikes_and_names_the_systems_that_have_room() -> None:
    signal = 0.1 * np.random.default_rng(0).standard_normal((30, 200)).astype(np.float32)
    signal[11:] += 5  # one jump, from volume 10 to 11
    systems = np.array(["Frontal"] * 120 + ["Limbic"] * 77 + ["Tiny"] * 3)
    picture = carpet(signal, systems, "s1", "spikes 9")
    assert "200 voxels by 30 volumes, 1 spikes" in picture.svg
    assert {"Frontal", "Limbic", "DVARS"} < set(texts(picture.svg))
    assert "Tiny" not in texts(picture.svg)
    assert picture.caption.startswith("Scan s1. Stands out by spikes 9.")
