from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.image import smooth_img

from fmrifm.config import CleaningConfig
from fmrifm.data.grid import Grid
from fmrifm.data.limits import Limits
from fmrifm.data.preprocess import prepare_scan
from fmrifm.data.scan import ScanRecord
from fmrifm.errors import DataError

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
    scan = prepare_scan(save(series, grid.affine), grid, limits=Limits(max_nonfinite=0.02))
    assert scan.n_nonfinite == 2
    assert grid.voxels[~scan.covered].tolist() == [[2, 1, 3], [2, 1, 4]]
    assert np.isfinite(scan.signal).all()


@pytest.mark.parametrize("millimetres", [0.0, 0.1])
def test_a_run_with_nan_in_the_brain_is_refused_with_the_share(
    grid: Grid, series: np.ndarray, save: Save, millimetres: float
) -> None:
    series[0, 0, 0] = np.nan  # outside the brain mask
    moved = shifted(grid.affine, millimetres, 0, 0)
    assert prepare_scan(save(series, moved), grid).n_nonfinite == 0
    series[2, 1, 3:5, 7] = np.nan
    with pytest.raises(DataError, match=r"NaN or infinity in 2 voxels, 2\.00% of the brain mask, expected at most 0"):
        prepare_scan(save(series, moved), grid)


def test_a_run_elsewhere_is_refused_before_it_is_read(grid: Grid, series: np.ndarray, save: Save) -> None:
    record = save(series, shifted(grid.affine, 500, 0, 0))
    record.path.write_bytes(record.path.read_bytes()[:2000])
    with pytest.raises(
        DataError, match=r"field of view holds 0\.0% of the brain mask, expected at least 1%\. It is not"
    ):
        prepare_scan(record, grid)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_an_empty_or_constant_run_is_refused(grid: Grid, series: np.ndarray, save: Save, value: float) -> None:
    with pytest.raises(DataError, match="every voxel is constant or empty"):
        prepare_scan(save(np.full_like(series, value), grid.affine), grid)


def test_a_run_with_little_signal_is_refused(grid: Grid, series: np.ndarray, save: Save) -> None:
    series[:, :, 4:] = 0
    limits = Limits(min_coverage=0.5)
    with pytest.raises(DataError, match=r"signal in 40\.0% of the brain mask, expected at least 50%"):
        prepare_scan(save(series, grid.affine), grid, limits=limits)


def test_a_run_that_needs_too_much_memory_on_the_grid_is_refused(grid: Grid, series: np.ndarray, save: Save) -> None:
    record = save(series.astype(np.uint8), grid.affine)  # 8,400 bytes on disk, 16,000 on the grid
    with pytest.raises(DataError, match=r"40 volumes of 100 brain voxels need 1\.49e-05 GiB, expected at most 1e-05"):
        prepare_scan(record, grid, limits=Limits(max_gib=1e-5))


def test_integers_are_scaled_as_the_header_says(grid: Grid, series: np.ndarray, save: Save) -> None:
    expected = prepare_scan(save(series, grid.affine), grid)
    for kind in (np.int16, np.int32, np.float64):
        image = nib.Nifti1Image(series, grid.affine)
        image.header.set_zooms((2, 2, 2, 2.0))
        image.header.set_xyzt_units("mm", "sec")
        image.set_data_dtype(kind)
        image.to_filename(path := expected_path(save, series, grid))
        scan = prepare_scan(ScanRecord(path=path, subject="1"), grid)
        assert np.allclose(scan.mean, expected.mean, rtol=1e-4)
        assert np.allclose(scan.signal, expected.signal, atol=5e-3)


def expected_path(save: Save, series: np.ndarray, grid: Grid) -> Path:
    return save(series, grid.affine).path.with_name("integers.nii")


def test_many_volumes_are_interpolated_in_blocks_without_a_seam(grid: Grid, save: Save) -> None:
    one = np.random.default_rng(3).normal(100, 2, size=(*grid.shape, 1)).astype(np.float32)
    rising = one + np.arange(35, dtype=np.float32)  # all voxels alike: so interpolated, too
    scan = prepare_scan(save(rising, shifted(grid.affine, 0.2, 0, 0)), grid)
    expected = (np.arange(35) - 17) / np.arange(35).std()
    assert np.allclose(scan.signal[:, scan.covered], expected[:, None], atol=1e-3)


def test_a_brain_mask_beside_the_run_says_what_is_covered(
    grid: Grid, series: np.ndarray, save: Save, tmp_path: Path
) -> None:
    inside = np.zeros(grid.shape, np.uint8)
    inside[:3] = 1
    nib.Nifti1Image(inside, grid.affine).to_filename(tmp_path / "mask.nii")
    scan = prepare_scan(save(series, grid.affine, brain_mask=tmp_path / "mask.nii"), grid)
    assert (scan.covered == (grid.voxels[:, 0] < 3)).all()


def test_smoothing_is_applied_on_the_grid_and_off_it(grid: Grid, series: np.ndarray, save: Save) -> None:
    smooth = CleaningConfig(smooth_fwhm_mm=4.0)
    scan = prepare_scan(save(series, grid.affine), grid, smooth)
    expected = grid.flatten(smooth_img(nib.Nifti1Image(series, grid.affine), 4.0).get_fdata()).T
    assert not scan.resampled
    assert np.allclose(scan.signal * scan.deviation + scan.mean, expected, rtol=1e-4)
    off = prepare_scan(save(series, shifted(grid.affine, 0.01, 0, 0)), grid, smooth)
    assert np.median(off.deviation) == pytest.approx(np.median(scan.deviation), rel=0.1)


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


def with_table(save: Save, series: np.ndarray, grid: Grid, table: pd.DataFrame) -> ScanRecord:
    record = save(series, grid.affine, "sub-1_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz")
    confounds = record.path.with_name("sub-1_task-rest_desc-confounds_timeseries.tsv")
    table.to_csv(confounds, sep="\t", index=False, na_rep="n/a")
    return ScanRecord(path=record.path, subject="1", confounds=confounds)


def test_confounds_are_regressed_out(grid: Grid, series: np.ndarray, save: Save) -> None:
    nuisance = np.random.default_rng(2).normal(size=40)
    record = with_table(save, series + 10 * nuisance, grid, pd.DataFrame({"global_signal": nuisance}))
    as_is = prepare_scan(record, grid)
    cleaned = prepare_scan(record, grid, CleaningConfig(confounds=("global_signal",)))
    assert np.abs(nuisance @ as_is.signal).min() > 30
    assert np.abs((nuisance - nuisance.mean()) @ cleaned.signal).max() < 0.1
    assert np.allclose(cleaned.mean, as_is.mean)
    assert np.median(cleaned.deviation) == pytest.approx(2, rel=0.1)


def test_unsteady_first_volumes_are_dropped_and_counted_and_do_not_count_in_the_z_score(
    grid: Grid, series: np.ndarray, save: Save
) -> None:
    expected = prepare_scan(save(series[..., 2:], grid.affine), grid)
    series[..., :2] += 5000
    table = pd.DataFrame({"non_steady_state_outlier00": np.eye(40)[0], "non_steady_state_outlier01": np.eye(40)[1]})
    scan = prepare_scan(with_table(save, series, grid, table), grid)
    assert (len(scan.signal), scan.segments, scan.n_unsteady, scan.n_scrubbed) == (38, [38], 2, 0)
    assert np.allclose(scan.signal, expected.signal, atol=1e-3)
    assert np.allclose(scan.deviation, expected.deviation, rtol=1e-4)


def motion_table(moved: list[int]) -> pd.DataFrame:
    rng, names = np.random.default_rng(4), [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    table = pd.DataFrame(rng.normal(size=(40, 6)), columns=names)
    derived = {f"{name}_{ending}": table[name] for name in names for ending in ("derivative1", "power2")}
    derived |= {f"{name}_derivative1_power2": table[name] for name in names}
    displacement = np.full(40, 0.1)
    displacement[moved] = 2.0
    return table.assign(**derived, framewise_displacement=displacement, std_dvars=1.0)


def test_scrubbing_cuts_a_scan_into_segments(grid: Grid, series: np.ndarray, save: Save) -> None:
    record = with_table(save, series, grid, motion_table([11, 30]))
    scan = prepare_scan(record, grid, CleaningConfig(confounds=("motion", "scrub")))
    assert scan.segments == [11, 18, 9]
    assert (len(scan.signal), scan.n_scrubbed, scan.n_unsteady) == (38, 2, 0)
    assert np.allclose(scan.signal.std(axis=0), 1, atol=1e-4)
    with pytest.raises(DataError, match="longest stretch that cleaning leaves has 18 volumes, expected at least 24"):
        prepare_scan(record, grid, CleaningConfig(confounds=("motion", "scrub")), Limits(min_volumes=24))


def test_a_common_repetition_time_is_reached_and_recorded(grid: Grid, series: np.ndarray, save: Save) -> None:
    scan = prepare_scan(save(series, grid.affine), grid, CleaningConfig(tr_s=1.0))
    assert (scan.tr_s, scan.segments, len(scan.signal)) == (1.0, [79], 79)
    as_is = prepare_scan(save(series, grid.affine), grid)
    correlations = [np.corrcoef(scan.signal[::2, v], as_is.signal[:, v])[0, 1] for v in range(5)]
    assert min(correlations) > 0.999
