from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from fmrifm.config import CleaningConfig
from fmrifm.data.grid import Grid
from fmrifm.data.preprocess import prepare_scan, uncovered_regions
from fmrifm.data.scan import ScanRecord
from fmrifm.errors import ConfigError, DataError

Save = Callable[..., ScanRecord]


@pytest.fixture
def series(grid: Grid) -> np.ndarray:
    """A run on the grid: (5, 6, 7, 40), every voxel with its own mean and noise of deviation 2."""
    rng = np.random.default_rng(0)
    means = np.arange(5 * 6 * 7, dtype=np.float32).reshape(5, 6, 7, 1) + 100
    return (means + 2 * rng.normal(size=(*grid.shape, 40))).astype(np.float32)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write a run with TR 2 s and return its record."""

    def write(data: np.ndarray, affine: np.ndarray, name: str = "run.nii", **fields: object) -> ScanRecord:
        image = nib.Nifti1Image(data, affine)
        image.header.set_zooms((*image.header.get_zooms()[:3], 2.0))
        image.header.set_xyzt_units("mm", "sec")
        image.to_filename(tmp_path / name)
        return ScanRecord(path=tmp_path / name, subject="1", **fields)

    return write


def shifted(affine: np.ndarray, *millimetres: float) -> np.ndarray:
    moved = affine.copy()
    moved[:3, 3] += millimetres
    return moved


def test_a_run_on_the_grid_is_not_interpolated(grid: Grid, series: np.ndarray, save: Save) -> None:
    scan = prepare_scan(save(series, grid.affine), grid)
    assert not scan.resampled
    assert (scan.tr_s, scan.coverage, scan.n_nonfinite) == (2.0, 1.0, 0)
    assert np.allclose(scan.signal * scan.deviation + scan.mean, grid.flatten(series).T, rtol=1e-6)
    assert np.allclose(scan.mean, grid.flatten(series).mean(axis=1))


def test_time_courses_are_z_scored_within_the_scan(grid: Grid, series: np.ndarray, save: Save) -> None:
    scan = prepare_scan(save(series, grid.affine), grid)
    assert scan.signal.shape == (40, len(grid.voxels))
    assert scan.signal.dtype == np.float32
    assert np.allclose(scan.signal.mean(axis=0), 0, atol=1e-4)
    assert np.allclose(scan.signal.std(axis=0), 1, atol=1e-5)


def test_flipped_and_swapped_axes_land_on_the_same_voxels(grid: Grid, series: np.ndarray, save: Save) -> None:
    flipped = nib.Nifti1Image(series, grid.affine).as_reoriented(nib.orientations.axcodes2ornt("LSP"))
    assert flipped.shape == (5, 7, 6, 40)
    scan = prepare_scan(save(np.asarray(flipped.dataobj), flipped.affine), grid)
    expected = prepare_scan(save(series, grid.affine), grid)
    assert scan.resampled
    assert np.allclose(scan.signal, expected.signal, atol=1e-3)
    assert np.allclose(scan.mean, expected.mean, rtol=1e-5)


def test_half_a_voxel_away_neighbours_are_averaged(grid: Grid, series: np.ndarray, save: Save) -> None:
    scan = prepare_scan(save(series, shifted(grid.affine, 0, -1, 0)), grid)
    between = (series[:, :-1] + series[:, 1:]) / 2
    inside = grid.image(scan.mean).get_fdata()[1:, :5, 2:]
    assert np.allclose(inside, between.mean(axis=-1)[1:, :5, 2:], rtol=1e-5)


def test_voxels_finer_than_the_grid_are_averaged_not_sampled(grid: Grid, save: Save) -> None:
    noise = np.random.default_rng(1).normal(size=(24, 24, 28, 60)).astype(np.float32)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = grid.affine[:3, 3] - 8
    scan = prepare_scan(save(noise, affine), grid)
    width = np.sqrt(2**2 - 1**2) / np.sqrt(8 * np.log(2))  # of the Gaussian that 1 mm voxels lack to 2 mm
    assert np.median(scan.deviation) == pytest.approx((2 * np.sqrt(np.pi) * width) ** -1.5, rel=0.1)


def test_what_lies_outside_the_field_of_view_is_zero_and_not_covered(
    grid: Grid, series: np.ndarray, save: Save
) -> None:
    scan = prepare_scan(save(series[:, :, :4], grid.affine), grid)
    expected = grid.flatten(np.broadcast_to(np.arange(7) < 4, grid.shape))
    assert (scan.covered == expected).all()
    assert scan.coverage == pytest.approx(2 / 5)  # planes 2 and 3 of the mask's five
    for values in (scan.mean, scan.deviation, scan.signal.T):
        assert (values[~expected] == 0).all()
        assert (values[expected] != 0).any()


def test_interpolation_does_not_smear_signal_over_the_edge(grid: Grid, series: np.ndarray, save: Save) -> None:
    series[:, :, 4:] = 0
    scan = prepare_scan(save(series, shifted(grid.affine, 0, 0, 0.6)), grid)
    assert scan.resampled
    assert np.unique(grid.voxels[scan.covered, 2]).tolist() == [2, 3]


def test_constant_voxels_are_not_covered_even_when_they_tremble_by_rounding(
    grid: Grid, series: np.ndarray, save: Save
) -> None:
    series[2, 1, 3] = 7.5
    series[3, 2, 4] = 1e6 + np.resize([0.0, 0.0625], 40)
    scan = prepare_scan(save(series, grid.affine), grid)
    assert grid.voxels[~scan.covered].tolist() == [[2, 1, 3], [3, 2, 4]]


def test_voxels_with_nan_are_counted_and_leave_their_neighbours_alone(
    grid: Grid, series: np.ndarray, save: Save
) -> None:
    series[2, 1, 3, 5], series[2, 1, 4, 0] = np.nan, np.inf
    scan = prepare_scan(save(series, grid.affine), grid)
    assert scan.n_nonfinite == 2
    assert grid.voxels[~scan.covered].tolist() == [[2, 1, 3], [2, 1, 4]]
    assert np.isfinite(scan.signal).all()


@pytest.mark.parametrize("min_coverage", [0.3, 0.0])
def test_a_run_elsewhere_is_refused(grid: Grid, series: np.ndarray, save: Save, min_coverage: float) -> None:
    record = save(series, shifted(grid.affine, 500, 0, 0))
    with pytest.raises(DataError, match=r"signal in 0\.0% of the brain mask, expected at least (30|1)%\. It is not in"):
        prepare_scan(record, grid, min_coverage=min_coverage)


def test_voxels_more_than_twice_as_coarse_are_refused(grid: Grid, series: np.ndarray, save: Save) -> None:
    with pytest.raises(DataError, match=r"voxels of 5 x 5 x 5 mm, expected at most 4 mm"):
        prepare_scan(save(series, np.diag([5.0, 5.0, 5.0, 1.0])), grid)


def test_detrending_takes_the_slope_and_keeps_the_mean(grid: Grid, series: np.ndarray, save: Save) -> None:
    sloped = series + np.linspace(0, 50, 40, dtype=np.float32)
    scan = prepare_scan(save(sloped, grid.affine), grid, CleaningConfig(detrend=True))
    assert np.allclose(scan.mean, grid.flatten(sloped).mean(axis=1), rtol=1e-5)
    assert np.median(scan.deviation) == pytest.approx(2, rel=0.1)
    assert np.abs(np.arange(-19.5, 20) @ scan.signal).max() < 0.1


def test_a_low_pass_leaves_the_slow_of_two_waves(grid: Grid, save: Save) -> None:
    seconds = 2.0 * np.arange(120)
    slow, fast = np.sin(2 * np.pi * 0.02 * seconds), np.sin(2 * np.pi * 0.2 * seconds)
    data = np.broadcast_to(100 + slow + fast, (*grid.shape, 120)).astype(np.float32)
    scan = prepare_scan(save(data, grid.affine), grid, CleaningConfig(low_pass_hz=0.1))
    correlation = np.corrcoef([scan.signal[:, 0], slow, fast])[0]
    assert correlation[1] > 0.98
    assert abs(correlation[2]) < 0.05


def fmriprep_run(save: Save, series: np.ndarray, grid: Grid, table: pd.DataFrame) -> ScanRecord:
    record = save(series, grid.affine, "sub-1_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz")
    confounds = record.path.with_name("sub-1_task-rest_desc-confounds_timeseries.tsv")
    table.to_csv(confounds, sep="\t", index=False)
    return ScanRecord(path=record.path, subject="1", confounds=confounds)


def test_confounds_are_regressed_out(grid: Grid, series: np.ndarray, save: Save) -> None:
    nuisance = np.random.default_rng(2).normal(size=40)
    record = fmriprep_run(save, series + 10 * nuisance, grid, pd.DataFrame({"global_signal": nuisance}))
    as_is = prepare_scan(record, grid)
    cleaned = prepare_scan(record, grid, CleaningConfig(confounds=("global_signal",)))
    assert np.abs(nuisance @ as_is.signal).min() > 30
    assert np.abs((nuisance - nuisance.mean()) @ cleaned.signal).max() < 0.1


def test_unsteady_first_volumes_are_dropped_with_confounds(grid: Grid, series: np.ndarray, save: Save) -> None:
    table = pd.DataFrame({"global_signal": np.arange(40.0) ** 2, "non_steady_state_outlier00": np.eye(1, 40)[0]})
    record = fmriprep_run(save, series, grid, table)
    assert len(prepare_scan(record, grid, CleaningConfig(confounds=("global_signal",))).signal) == 39
    assert len(prepare_scan(record, grid).signal) == 40


def test_confounds_that_are_not_there_are_told(grid: Grid, series: np.ndarray, save: Save) -> None:
    with pytest.raises(DataError, match="no confound table beside it"):
        prepare_scan(save(series, grid.affine), grid, CleaningConfig(confounds=("motion",)))
    record = fmriprep_run(save, series, grid, pd.DataFrame({"global_signal": np.arange(40.0)}))
    with pytest.raises(DataError, match="cannot be cleaned as asked"):
        prepare_scan(record, grid, CleaningConfig(confounds=("motion",)))


def test_scrubbing_is_refused_because_windows_are_consecutive(grid: Grid, series: np.ndarray, save: Save) -> None:
    with pytest.raises(ConfigError, match="windows need consecutive volumes"):
        prepare_scan(save(series, grid.affine), grid, CleaningConfig(confounds=("motion", "scrub")))


def test_a_region_is_uncovered_below_half() -> None:
    labels = np.array([0, 0, 3, 3, 3, 3, 170, 170, 170], np.int32)
    covered = np.array([False, False, True, True, False, False, True, False, False])
    assert uncovered_regions(labels, covered) == [170]
    assert uncovered_regions(labels, np.zeros(9, bool)) == [3, 170]
