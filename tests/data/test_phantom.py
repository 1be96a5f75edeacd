import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from fmrifm.atlas import read_regions
from fmrifm.data.grid import mni_grid
from fmrifm.data.phantom import (
    PLANTED,
    SITES,
    band_limited,
    build_anatomy,
    phenotypes,
    region_signals,
    write_phantom,
)
from fmrifm.data.sources import athena

ADHD200_HEADER = (
    "ScanDir ID,Site,Gender,Age,Handedness,DX,Secondary Dx ,ADHD Measure,ADHD Index,Inattentive,Hyper/Impulsive,"
    "IQ Measure,Verbal IQ,Performance IQ,Full2 IQ,Full4 IQ,Med Status,QC_Rest_1,QC_Rest_2,QC_Rest_3,QC_Rest_4,"
    "QC_Anatomical_1,QC_Anatomical_2"
)


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """Three subjects at one site and two at the other, 12 volumes each."""
    return write_phantom(tmp_path_factory.mktemp("phantom"), seed=3, subjects=(3, 2), volumes=12)


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(cohort, tmp_path):
    again = digests(write_phantom(tmp_path / "again", seed=3, subjects=(3, 2), volumes=12))
    other = digests(write_phantom(tmp_path / "other", seed=4, subjects=(3, 2), volumes=12))
    assert again == digests(cohort)
    assert again.keys() == other.keys()
    assert all(again[name] != other[name] for name in again if name.endswith(".nii.gz"))


def test_the_athena_source_finds_every_subject_with_a_label(cohort):
    records = athena.find(cohort).records
    assert [record.site for record in records] == ["PhantomA"] * 3 + ["PhantomB"] * 2
    assert len({record.subject for record in records}) == 5
    assert {record.columns["dx"] for record in records} == {0, 1}
    assert all(record.columns["iq"] > 0 and record.columns["sex"] in ("F", "M") for record in records)


def test_scans_lie_on_the_4_mm_grid_with_the_tr_of_their_site(cohort):
    grid = mni_grid(4.0)
    for record in athena.find(cohort).records:
        image = nib.load(record.path)
        values = np.asarray(image.dataobj)
        assert grid.holds(image)
        assert image.shape == (49, 58, 47, 12)
        assert image.get_data_dtype() == np.int16
        assert image.header.get_xyzt_units() == ("mm", "sec")
        assert image.header.get_zooms()[3] == {site.name: site.tr_s for site in SITES}[record.site]
        assert (values[~grid.mask] == 0).all()
        assert (values[grid.mask].std(axis=1) > 0).all()


def test_truth_names_the_planted_regions_among_all_166(cohort):
    truth = pd.read_csv(cohort / "truth.tsv", sep="\t")
    assert truth.columns.tolist() == ["index", "planted"]
    planted = truth.merge(read_regions(), on="index", validate="one_to_one").query("planted == 1")
    assert len(truth) == 166
    assert sorted(planted["name"]) == sorted(PLANTED)
    assert set(planted["system"]) == {"Limbic", "Cerebellum"}


def test_the_description_says_synthetic(cohort):
    description = json.loads((cohort / "dataset_description.json").read_text())
    assert description["Name"] == "fmrifm embedded cohort (synthetic)"
    assert description["Synthetic"] is True


@pytest.mark.parametrize(("site", "cases"), list(zip(SITES, (12, 8), strict=True)))
def test_a_site_has_its_prevalence_and_the_columns_of_adhd200(site, cases):
    table = phenotypes(site, 20, np.random.default_rng(0))
    assert ",".join(table.columns) == ADHD200_HEADER
    assert (table["DX"] > 0).sum() == cases
    assert set(table["DX"]) <= {0, 1, 3}


def test_age_sex_and_iq_do_not_follow_from_the_diagnosis():
    table = phenotypes(SITES[0], 4000, np.random.default_rng(0))
    correlation = table[["Age", "Gender", "Handedness", "Full4 IQ"]].corrwith(table["DX"] > 0)
    assert correlation.abs().max() < 0.06


@pytest.mark.parametrize("tr_s", [2.0, 2.5])
def test_latent_signals_have_power_in_the_resting_state_band_alone(tr_s):
    signal = band_limited((90, 7), tr_s, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(signal, axis=0)) ** 2
    frequency = np.fft.rfftfreq(90, tr_s)
    outside = (frequency < 0.01) | (frequency > 0.08)
    assert signal.shape == (90, 7)
    assert np.allclose(signal.std(axis=0), 1, atol=1e-4)
    assert power[outside].sum() < 1e-6 * power.sum()


def correlations(case: bool, subjects: int = 30) -> np.ndarray:
    """Mean correlation between regions over subjects, shape (R, R)."""
    rng, regions = np.random.default_rng(5), read_regions()
    return np.mean([np.corrcoef(region_signals(regions, 90, 2.0, case, rng).T) for _ in range(subjects)], axis=0)


def test_planted_regions_correlate_more_in_cases_and_the_others_do_not():
    planted = read_regions()["name"].isin(PLANTED).to_numpy()
    difference = correlations(case=True) - correlations(case=False)
    off_diagonal = ~np.eye(166, dtype=bool)
    assert difference[np.ix_(planted, planted)][off_diagonal[np.ix_(planted, planted)]].mean() > 0.3
    assert abs(difference[np.ix_(~planted, ~planted)].mean()) < 0.03


def test_homologous_regions_and_those_of_one_system_go_together():
    regions, mean = read_regions(), correlations(case=False)
    position = {name: row for row, name in enumerate(regions["name"])}
    homologous = mean[position["Angular_L"], position["Angular_R"]]
    same_system = mean[position["Angular_L"], position["Postcentral_R"]]
    other_system = mean[position["Angular_L"], position["Calcarine_R"]]
    assert homologous > same_system + 0.2 > other_system + 0.3


@pytest.mark.parametrize("case", [True, False])
def test_the_variance_of_a_region_does_not_tell_a_case(case):
    signals = region_signals(read_regions(), 90, 2.0, case, np.random.default_rng(1))
    assert signals.std(axis=0) == pytest.approx(np.ones(166), abs=1e-4)


def test_every_brain_voxel_follows_a_region_and_unlabelled_ones_less():
    anatomy = build_anatomy(mni_grid(8.0), np.random.default_rng(0))
    assert set(anatomy.region) == set(range(166))
    assert anatomy.gain.max() < 0.9
    assert 0.1 < (anatomy.gain < 0.3).mean() < 0.4
    assert anatomy.baseline.min() >= 600
