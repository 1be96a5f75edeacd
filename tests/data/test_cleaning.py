from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fmrifm.config import CleaningConfig
from fmrifm.data.cleaning import Cleaned, clean_series, segment_lengths
from fmrifm.data.confounds import Confounds
from fmrifm.errors import DataError

PATH = Path("run.nii.gz")


def confounds(volumes: int, scrubbed: tuple[int, ...] = (), regressors: pd.DataFrame | None = None) -> Confounds:
    kept = ~np.isin(np.arange(volumes), scrubbed)
    return Confounds(np.ones(volumes, bool), kept, regressors)


def wave(hertz: float, tr_s: float, volumes: int) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * tr_s * np.arange(volumes))


def cleaned(series: np.ndarray, scrubbed: tuple[int, ...] = (), tr_s: float = 2.0, **settings: object) -> Cleaned:
    table = confounds(len(series), scrubbed)
    return clean_series(series.astype(np.float32), CleaningConfig(**settings), table, tr_s, PATH)


def test_nothing_asked_is_nothing_done() -> None:
    series = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    result = clean_series(series, CleaningConfig(), confounds(30), 2.0, PATH)
    assert result.series is series
    assert (result.segments, result.tr_s) == ([30], 2.0)


def test_segments_are_the_runs_of_consecutive_volumes() -> None:
    assert segment_lengths(np.array([0, 1, 2, 5, 6, 9])) == [3, 2, 1]
    assert segment_lengths(np.arange(4)) == [4]


def test_scrubbed_volumes_are_cut_out() -> None:
    series = np.arange(20.0)[:, None] * [1, 2, 3]
    result = cleaned(series, (0, 7, 8))
    assert result.segments == [6, 11]
    assert (result.series == series[[*range(1, 7), *range(9, 20)]]).all()


def test_a_filter_does_not_see_a_scrubbed_spike() -> None:
    slow = wave(0.03, 2.0, 150)[:, None] * np.ones(3)
    spiked = slow.copy()
    spiked[70] = 100
    result = cleaned(spiked, (70,), low_pass_hz=0.1)
    assert np.corrcoef(result.series[:, 0], np.delete(slow[:, 0], 70))[0, 1] > 0.99


def test_a_slower_clock_reads_the_same_wave() -> None:
    series = (wave(0.02, 0.8, 250)[:, None] * np.ones(5)).astype(np.float32)
    result = clean_series(series, CleaningConfig(low_pass_hz=0.1, tr_s=2.0), confounds(250), 0.8, PATH)
    assert result.tr_s == 2.0
    assert result.segments == [100]  # 249 intervals of 0.8 s hold 99 of 2 s
    expected = wave(0.02, 2.0, 100)
    assert np.allclose(result.series[10:-10, 3], expected[10:-10], atol=0.05)


def test_no_spline_reaches_over_a_gap_and_no_segment_is_stretched() -> None:
    times = 2.0 * np.arange(20)
    result = clean_series(
        (times[:, None] * [1, -1]).astype(np.float32), CleaningConfig(tr_s=1.5), confounds(20, (6,)), 2.0, PATH
    )
    assert result.segments == [7, 17]  # volumes 0-5 last 10 s, 7-19 last 24 s
    first, second = np.split(result.series[:, 0], [7])
    assert np.allclose(first, 1.5 * np.arange(7), atol=1e-4)
    assert np.allclose(second, 14 + 1.5 * np.arange(17), atol=1e-4)


def test_many_voxels_are_interpolated_as_one_is() -> None:
    series = np.random.default_rng(0).normal(size=(12, 5000)).astype(np.float32)
    whole = clean_series(series, CleaningConfig(tr_s=1.0), confounds(12), 2.0, PATH)
    one = clean_series(series[:, 4321:4322], CleaningConfig(tr_s=1.0), confounds(12), 2.0, PATH)
    assert np.allclose(whole.series[:, 4321], one.series[:, 0])
    assert np.allclose(whole.series[::2], series, atol=1e-5)


@pytest.mark.parametrize("low_pass_hz", [None, 0.3])
def test_a_slower_clock_without_a_low_pass_would_alias_and_is_refused(low_pass_hz: float | None) -> None:
    settings = CleaningConfig(tr_s=2.0, low_pass_hz=low_pass_hz)
    with pytest.raises(
        DataError, match=r"above 0\.25 Hz would be folded .* Set cleaning\.low_pass_hz to 0\.25 or less"
    ):
        clean_series(np.zeros((100, 3), np.float32), settings, confounds(100), 0.8, PATH)


def test_a_clock_within_a_percent_is_the_same() -> None:
    series = np.zeros((10, 3), np.float32)
    result = clean_series(series, CleaningConfig(tr_s=2.0), confounds(10), 2.01, PATH)
    assert result.series is series
    assert result.tr_s == 2.01


def test_scrubbing_everything_is_refused() -> None:
    with pytest.raises(DataError, match="scrubbing leaves no volume"):
        clean_series(np.zeros((5, 3), np.float32), CleaningConfig(), confounds(5, (0, 1, 2, 3, 4)), 2.0, PATH)


def test_a_run_too_short_for_the_filter_is_refused() -> None:
    with pytest.raises(DataError, match="cannot be cleaned as asked"):
        clean_series(np.ones((10, 3), np.float32), CleaningConfig(low_pass_hz=0.1), confounds(10), 2.0, PATH)
