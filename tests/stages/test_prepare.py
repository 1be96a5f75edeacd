from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster

from fmrifm.config import AtlasConfig, PrepareConfig
from fmrifm.data.grid import mni_grid
from fmrifm.data.store import Store
from fmrifm.errors import DataError
from fmrifm.stages.prepare import prepare

SPACING_MM = 12.0


def save_run(path: Path, seed: int, tr_s: float = 2.0, planes: int = 99) -> Path:
    """A run of 24 volumes on the 12 mm grid, with signal in the lowest planes only where told."""
    grid = mni_grid(SPACING_MM)
    data = np.random.default_rng(seed).normal(1000, 10, (*grid.shape, 24)).astype(np.float32)
    data[:, :, planes:] = 0
    image = nib.Nifti1Image(data, grid.affine)
    image.header.set_zooms((SPACING_MM,) * 3 + (tr_s,))
    image.header.set_xyzt_units("mm", "sec")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.to_filename(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of two good runs, one with a lower half only, and one with its TR in milliseconds."""
    save_run(tmp_path / "data" / "a.nii", 0)
    save_run(tmp_path / "data" / "b.nii.gz", 1, tr_s=2.5)
    save_run(tmp_path / "data" / "half.nii", 2, planes=7)
    save_run(tmp_path / "data" / "milliseconds.nii", 3, tr_s=2500)
    return tmp_path / "data"


def settings(root: Path, out: Path, **changed: Any) -> PrepareConfig:
    told = {"source": "table", "spacing_mm": SPACING_MM, "atlas": AtlasConfig(approximation=True), **changed}
    return PrepareConfig(root=str(root), out=str(out), **told)


def quarantine(out: Path) -> dict[str, str]:
    table = pd.read_csv(out.with_name("quarantine.tsv"), sep="\t")
    assert list(table) == ["path", "reason"]
    return {Path(path).name: reason for path, reason in table.itertuples(index=False)}


def test_good_scans_are_stored_and_bad_ones_named(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = prepare(settings(root, tmp_path / "out" / "s.zarr"))
    scans = Store(out).scans.set_index("subject")
    assert scans["tr_s"].to_dict() == {"a": 2.0, "b": 2.5, "half": 2.0}
    assert scans["path"].to_dict() == {"a": "a.nii", "b": "b.nii.gz", "half": "half.nii"}
    assert not scans["resampled"].any()
    [(name, reason)] = quarantine(out).items()
    assert name == "milliseconds.nii"
    assert "looks like milliseconds" in reason
    text = capsys.readouterr().out
    assert "Scans: 3 taken, 1 refused" in text
    assert "AAL3 approximation: labels" in text


def test_what_is_stored_is_what_was_on_disk(root: Path, tmp_path: Path) -> None:
    store = Store(prepare(settings(root, tmp_path / "s.zarr")))
    key = "b_ses-1_run-1"
    raw = store.grid.flatten(nib.load(root / "b.nii.gz").get_fdata()).T
    assert np.allclose(store.window(key) * store.deviation(key) + store.mean(key), raw, atol=0.1)


def test_partial_coverage_is_kept_with_the_scan(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    store = Store(prepare(settings(root, tmp_path / "s.zarr")))
    scans = store.scans.set_index("subject")
    low = store.grid.voxels[:, 2] < 7
    assert scans.loc["a", "coverage"] == 1.0
    assert scans.loc["half", "coverage"] == pytest.approx(low.mean(), abs=1e-3)
    assert scans.loc["a", "uncovered_regions"] == []
    uncovered = scans.loc["half", "uncovered_regions"]
    names = store.atlas.regions.set_index("index")["name"]
    assert "Paracentral_Lobule_L" in set(names[uncovered])
    assert "Cerebellum_8_L" not in set(names[uncovered])
    assert "Paracentral_Lobule_L (1)" in capsys.readouterr().out.replace("\n", " ")


def test_the_fingerprint_does_not_know_where_the_data_lies_or_how_many_worked(root: Path, tmp_path: Path) -> None:
    here = prepare(settings(root, tmp_path / "here.zarr"))
    moved = root.rename(tmp_path / "elsewhere")
    there = prepare(settings(moved, tmp_path / "there.zarr", jobs=2))
    filtered = prepare(settings(moved, tmp_path / "other.zarr", min_coverage=0.6))
    assert Store(here).fingerprint == Store(there).fingerprint
    assert Store(here).fingerprint != Store(filtered).fingerprint


def test_when_no_scan_is_left_there_is_no_store_but_a_list(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of 4 scans can be used; .*quarantine\.tsv"):
        prepare(settings(root, tmp_path / "s.zarr", min_volumes=25))
    assert len(quarantine(tmp_path / "s.zarr")) == 4
    assert not list(tmp_path.glob("s.zarr*"))


def test_an_existing_store_is_not_touched(root: Path, tmp_path: Path) -> None:
    out = prepare(settings(root, tmp_path / "s.zarr"))
    with pytest.raises(DataError, match="exists already"):
        prepare(settings(root, out))
    assert len(Store(out).scans) == 3


def test_nothing_refused_leaves_an_empty_list(tmp_path: Path) -> None:
    save_run(tmp_path / "data" / "a.nii", 0)
    assert quarantine(prepare(settings(tmp_path / "data", tmp_path / "s.zarr"))) == {}


def test_a_trial_takes_the_first_subjects_and_counts_the_rest(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = prepare(settings(root, tmp_path / "s.zarr", n_subjects=2))
    assert Store(out).scans["subject"].tolist() == ["a", "b"]
    assert "Left for later: 2 scans of subjects beyond the first 2" in capsys.readouterr().out


def test_scans_that_a_condition_leaves_out_are_listed(root: Path, tmp_path: Path) -> None:
    (root / "scans.tsv").write_text("path\tsite\na.nii\tnorth\nb.nii.gz\tsouth\n")
    out = prepare(settings(root, tmp_path / "s.zarr", keep=("site=south",)))
    assert Store(out).scans["subject"].tolist() == ["b"]
    assert list(quarantine(out)) == ["a.nii"]
    assert Store(out).attributes["settings"]["keep"] == ["site=south"]


def test_a_covariate_under_one_of_our_names_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "scans.tsv").write_text("path\tcoverage\na.nii\t1\n")
    with pytest.raises(DataError, match=r"has columns coverage, which fmrifm writes itself\. Rename"):
        prepare(settings(root, tmp_path / "s.zarr"))


def test_strict_fails_on_any_refusal_and_goes_on_once_it_is_repaired(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "s.zarr"
    with pytest.raises(DataError, match=r"1 scans are refused, and --strict wants none; .* 3 scans are done and kept"):
        prepare(settings(root, out, strict=True))
    assert list(quarantine(out)) == ["milliseconds.nii"]
    assert not out.exists()
    (root / "milliseconds.nii").unlink()
    prepare(settings(root, out, strict=True))
    assert "Going on: 3 of 3 scans are done already" in capsys.readouterr().out
    assert len(Store(out).scans) == 3


def test_a_label_that_is_corrected_between_two_calls_is_the_one_that_counts(root: Path, tmp_path: Path) -> None:
    (table := root / "scans.tsv").write_text("path\tdx\na.nii\t0\nb.nii.gz\t1\nmilliseconds.nii\t1\n")
    out = tmp_path / "s.zarr"
    with pytest.raises(DataError, match="2 scans are done and kept"):
        prepare(settings(root, out, strict=True))
    table.write_text("path\tdx\na.nii\t1\nb.nii.gz\t1\n")
    prepare(settings(root, out, strict=True))
    assert Store(out).scans["dx"].tolist() == [1, 1]


def test_what_another_run_began_with_other_settings_is_not_mixed(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.zarr"
    with pytest.raises(DataError, match="strict"):
        prepare(settings(root, out, strict=True))
    with pytest.raises(DataError, match=r"begun with other settings \(encoding float16, now int8\)"):
        prepare(settings(root, out, encoding="int8"))


def test_appended_scans_join_those_of_the_store(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = prepare(settings(root, tmp_path / "s.zarr"))
    whole = Store(out).fingerprint
    out.rename(tmp_path / "whole.zarr")
    (kept := root / "half.nii").rename(tmp_path / "half.nii")
    prepare(settings(root, out))
    assert Store(out).fingerprint != whole
    (tmp_path / "half.nii").rename(kept)
    (root / "milliseconds.nii").unlink()
    prepare(settings(root, out, append=True))
    assert "2 of 3 scans are in the store already" in capsys.readouterr().out
    assert Store(out).fingerprint == whole
    assert list(quarantine(out)) == ["milliseconds.nii"]  # refused before, and not asked for now


def test_another_scan_under_a_taken_name_is_not_appended(root: Path, tmp_path: Path) -> None:
    out = prepare(settings(root, tmp_path / "s.zarr"))
    save_run(tmp_path / "more" / "run.nii", 9)
    (tmp_path / "more" / "scans.tsv").write_text("path\tsubject\nrun.nii\ta\n")
    prepare(settings(tmp_path / "more", out, append=True))
    assert quarantine(out)["run.nii"] == "the store has a_ses-1_run-1 already, from a.nii"
    assert len(Store(out).scans) == 3


def test_int8_halves_the_signal_and_keeps_it_to_half_a_percent(root: Path, tmp_path: Path) -> None:
    half, byte = (Store(prepare(settings(root, tmp_path / f"{e}.zarr", encoding=e))) for e in ("float16", "int8"))
    key = "a_ses-1_run-1"
    assert np.abs(half.window(key) - byte.window(key)).max() < 0.005 * np.abs(half.window(key)).max()
    signal = "scans/a_ses-1_run-1/signal/c/0/0"
    assert (byte.path / signal).stat().st_size < 0.6 * (half.path / signal).stat().st_size


@pytest.mark.slow
def test_workers_of_a_dask_cluster_make_the_same_store(root: Path, tmp_path: Path) -> None:
    here = prepare(settings(root, tmp_path / "here.zarr"))
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        address = cluster.scheduler_address.replace("tcp://", "dask://")
        there = prepare(settings(root, tmp_path / "there.zarr", cluster=address))
    assert Store(here).fingerprint == Store(there).fingerprint
    assert (here / "SHA256SUMS").read_text() == (there / "SHA256SUMS").read_text()


def test_a_cohort_says_its_name_and_what_was_planted(root: Path, tmp_path: Path) -> None:
    (root / "dataset_description.json").write_text('{"Name": "phantom", "Synthetic": true}')
    (root / "truth.tsv").write_text("index\tplanted\n41\t1\n42\t0\n170\t1\n")
    store = Store(prepare(settings(root, tmp_path / "s.zarr")))
    assert (store.name, store.synthetic, store.planted) == ("phantom", True, [41, 170])


def test_a_cohort_that_says_nothing_is_called_by_its_folder(root: Path, tmp_path: Path) -> None:
    store = Store(prepare(settings(root, tmp_path / "s.zarr")))
    assert (store.name, store.synthetic, store.planted) == ("data", False, None)


def test_labels_and_site_of_the_athena_layout_reach_the_store(tmp_path: Path) -> None:
    site = tmp_path / "data" / "KKI_preproc" / "KKI"
    save_run(site / "0010042" / "sfnwmrda0010042_session_1_rest_1.nii.gz", 0)
    (site / "KKI_phenotypic.csv").write_text("ScanDir ID,DX,Age,Gender\n10042,3,9.5,1\n")
    store = Store(prepare(settings(tmp_path / "data", tmp_path / "s.zarr", source="athena")))
    [row] = store.scans.to_dict(orient="records")
    assert (row["subject"], row["site"], row["dx"], row["dx_subtype"], row["sex"]) == ("0010042", "KKI", 1, 3, "M")


ODD_FILES = {
    "fslfeeds_filtered_func_5slices_noform.nii": "neither qform nor sform is set",
    "haxby_sub1_run1_25mm_121vols.nii.gz": "voxels of 25 x 25 x 25 mm, expected at most 8 mm",
    "nibabel_anatomical_3D_bigendian.nii": "shape (33, 41, 25), expected 4 axes",
    "nibabel_cifti2.ptseries.nii": "a CIFTI-2 file",
    "nibabel_example4d_2vols_TR2000sec.nii.gz": "2000 seconds, which looks like milliseconds",
    "nitime_fmri1_axesLSP.nii.gz": "field of view holds 0.0% of the brain mask",
    "pyneal_GE_func_s1925_mcf_TRUNCATED.nii.gz": "breaks off or is damaged after 32 of 60 volumes",
    "pyneal_testSeries_3vols.nii.gz": "3 volumes, expected at least 20",
}


def test_the_odd_real_files_are_refused_and_the_rest_goes_on(test_data: Path, tmp_path: Path) -> None:
    asked = {"min_coverage": 0.0, "min_volumes": 20, "spacing_mm": 4.0}
    out = prepare(settings(test_data / "bold_native", tmp_path / "s.zarr", **asked))
    store = Store(out)
    assert store.scans["subject"].tolist() == ["nibabel_functional_MNI_partialFOV_int16scaled"]
    assert np.isfinite(store.window(store.scans["scan"][0])).all()
    reasons = quarantine(out)
    assert len(reasons) == len(set(reasons.values())) == 8
    assert reasons.keys() == ODD_FILES.keys()
    for name, words in ODD_FILES.items():
        assert words in reasons[name]


def test_a_real_partial_run_names_the_regions_it_lacks(
    test_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    atlas = AtlasConfig(path=str(test_data / "aal3" / "AAL3v1_2mm.nii.gz"))
    store = Store(prepare(settings(test_data / "bold_mni", tmp_path / "s.zarr", atlas=atlas, spacing_mm=4.0)))
    covered, labels = store.covered(store.scans["scan"][0]), store.atlas.labels
    assert covered[labels > 0].mean() == pytest.approx(0.65, abs=0.03)
    assert len(store.scans["uncovered_regions"][0]) == pytest.approx(68, abs=3)
    assert "less than half covered in every scan (69): Frontal_Inf_Orb_2_L" in capsys.readouterr().out.replace(
        "\n", " "
    )
