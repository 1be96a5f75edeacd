"""The embedded cohort: a synthetic ADHD-200 that needs no download and has a known answer.

Two sites with their own TR and share of cases, as NIfTI files in the layout of ADHD-200's Athena
pipeline, so that `fmrifm prepare --source athena` reads them like a user's data. Every voxel follows
the signal of its region (band-limited, with network structure and alike in both hemispheres) in
smooth noise. In ADHD the PLANTED regions share one more signal: the only difference of the groups.

Axes: T volumes; V brain voxels; R regions of the table; K networks, one for each system.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.datasets import load_mni152_template
from nilearn.image import resample_to_img
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter

from fmrifm.atlas import APPROXIMATION, approximate_labels, grow_labels, read_regions
from fmrifm.data.grid import Grid, mni_grid

Array = NDArray[np.float32]

_LIMBIC = ("Insula", "Cingulate_Mid", "Hippocampus", "ParaHippocampal")
_CEREBELLAR = ("Cerebellum_Crus1", "Cerebellum_6", "Cerebellum_8")
PLANTED = tuple(f"{name}_{side}" for name in _LIMBIC + _CEREBELLAR for side in "LR")
"""Limbic and cerebellar regions that share a signal in ADHD."""
STRENGTH = 0.8
"""Amplitude of that signal, 0-1; a connectome classifier then reaches an AUC of about .96 (.92-.99 over seeds 1-3)."""
BAND_HZ = (0.01, 0.08)
"""Pass band of resting-state BOLD."""
FIELD_MM = 30.0
"""Distance over which neighbouring regions' correlation falls to 1/e."""
NOISE_FWHM_MM = 6.0
"""Spatial smoothness of the noise, that of Athena's scans."""


@dataclass(frozen=True)
class Site:
    """A place that measured: name, number in the `Site` column, repetition time and share of cases."""

    name: str
    number: int
    tr_s: float
    prevalence: float


SITES = (Site("PhantomA", 91, 2.0, 0.6), Site("PhantomB", 92, 2.5, 0.4))


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What all subjects share.

    Args:
        grid: Where the voxels are.
        region: Row of each voxel's region in the table, shape (V,).
        gain: Share of the region's signal in each voxel, shape (V,); the rest is noise.
        baseline: Mean of each voxel in scanner units, shape (V,).
    """

    grid: Grid
    region: NDArray[np.intp]
    gain: Array
    baseline: Array


def write_phantom(root: Path, seed: int = 0, subjects: Sequence[int] = (24, 24), volumes: int = 90) -> Path:
    """Write the embedded cohort.

    Beside the scans stand `dataset_description.json`, which says that the cohort is synthetic, and
    `truth.tsv` (index, planted), which says where the groups differ.

    Args:
        root: Folder to write into.
        seed: The same seed gives the same bytes.
        subjects: Subjects of each site.
        volumes: Volumes of each scan.

    Returns:
        The folder.
    """
    rng = np.random.default_rng(seed)
    regions, anatomy = read_regions(), build_anatomy(mni_grid(4.0), rng)
    for site, n in zip(SITES, subjects, strict=True):
        folder = root / f"{site.name}_preproc" / site.name
        table = phenotypes(site, n, rng)
        for subject, dx in zip(table["ScanDir ID"], table["DX"], strict=True):
            signals_TR = region_signals(regions, volumes, site.tr_s, dx > 0, rng)
            path = folder / str(subject) / f"sfnwmrda{subject}_session_1_rest_1.nii.gz"
            _save(_paint(signals_TR, anatomy, rng), anatomy.grid, site.tr_s, path)
        table.to_csv(folder / f"{site.name}_phenotypic.csv", index=False)
    _describe(root, regions, seed)
    return root


def band_limited(shape: tuple[int, int], tr_s: float, rng: Generator) -> Array:
    """Draw signals of unit variance that have power between 0.01 and 0.08 Hz alone, shape (T, signals)."""
    frequency_hz = np.fft.rfftfreq(shape[0], tr_s)
    spectrum = rng.standard_normal((len(frequency_hz), shape[1], 2)) @ (1, 1j)
    spectrum[(frequency_hz < BAND_HZ[0]) | (frequency_hz > BAND_HZ[1])] = 0
    return _standardised(np.fft.irfft(spectrum, n=shape[0], axis=0))


def region_signals(regions: pd.DataFrame, volumes: int, tr_s: float, case: bool, rng: Generator) -> Array:
    """Draw one subject's region signals, shape (T, R), unit variance with or without the planted difference.

    A region mixes its network, a field that neighbours share, a part that it shares with its homologue
    and a part of its own. How networks couple, and how much a region follows its network, differs
    between subjects.
    """
    system_R = pd.factorize(regions["system"])[0]
    pair_R = pd.factorize(regions["name"].str.replace(r"_[LR]$", "", regex=True))[0]
    networks = system_R.max() + 1
    coupling_KK = np.eye(networks) + rng.normal(0, 0.15, (networks, networks))
    network_TK = _standardised(band_limited((volumes, networks), tr_s, rng) @ coupling_KK)
    pair_TP = band_limited((volumes, pair_R.max() + 1), tr_s, rng)
    own_TR = band_limited((volumes, len(regions)), tr_s, rng)
    field_TR = band_limited((volumes, len(regions)), tr_s, rng) @ _neighbourhood(regions)
    follows_R = rng.uniform(0.4, 0.9, len(regions))
    signal_TR = _standardised(
        follows_R * network_TK[:, system_R] + 0.9 * field_TR + 0.6 * pair_TP[:, pair_R] + 0.5 * own_TR
    )
    if case:
        planted_R = regions["name"].isin(PLANTED).to_numpy()
        shared_T1 = band_limited((volumes, 1), tr_s, rng)
        signal_TR[:, planted_R] = np.sqrt(1 - STRENGTH**2) * signal_TR[:, planted_R] + STRENGTH * shared_T1
    return _standardised(signal_TR)  # again: a region's variance must not give the group away


def _neighbourhood(regions: pd.DataFrame) -> Array:
    """Mixing matrix (R, R) of a field whose correlation falls off with the distance between regions."""
    centre_mm = regions[["x_mm", "y_mm", "z_mm"]].to_numpy()
    distance_mm = np.linalg.norm(centre_mm[:, None] - centre_mm[None], axis=-1)
    return np.linalg.cholesky(np.exp(-distance_mm / FIELD_MM) + 1e-6 * np.eye(len(regions))).T.astype(np.float32)


def build_anatomy(grid: Grid, rng: Generator) -> Anatomy:
    """Give each voxel a region of the AAL3 approximation, a gain and the brightness of the MNI template."""
    labels_V, _, _ = approximate_labels(grid.image(np.ones(len(grid.voxels), np.uint8)))
    nearest_V = grow_labels(labels_V, grid.voxels, grid.spacing_mm, np.inf)
    gain_V = rng.uniform(0.5, 0.9, len(labels_V)) * np.where(labels_V > 0, 1.0, 0.3)  # white matter follows less
    template = resample_to_img(
        load_mni152_template(resolution=2), grid.image(labels_V), force_resample=True, copy_header=True
    )
    brightness_V = grid.flatten(np.asarray(template.dataobj))
    return Anatomy(
        grid=grid,
        region=np.searchsorted(read_regions()["index"], nearest_V),
        gain=gain_V.astype(np.float32),
        baseline=(600 + 600 * brightness_V / brightness_V.max()).astype(np.float32),
    )


def phenotypes(site: Site, n: int, rng: Generator) -> pd.DataFrame:
    """Draw a table with the columns of ADHD-200, where nothing but DX depends on the diagnosis."""
    cases = round(n * site.prevalence)
    dx = np.concatenate([rng.choice([1, 3], cases), np.zeros(n - cases, int)])
    unknown = ["ADHD Measure", "ADHD Index", "Inattentive", "Hyper/Impulsive", "IQ Measure", "Verbal IQ"]
    columns = {
        "ScanDir ID": site.number * 100_000 + 1 + np.arange(n),
        "Site": site.number,
        "Gender": rng.integers(0, 2, n),
        "Age": rng.uniform(7, 17, n).round(2),
        "Handedness": rng.choice([1, 0], n, p=[0.9, 0.1]),
        "DX": rng.permutation(dx),
        "Secondary Dx ": "",
        **dict.fromkeys([*unknown, "Performance IQ"], -999),
        "Full2 IQ": "N/A",
        "Full4 IQ": rng.normal(108, 13, n).round().astype(int),
        "Med Status": -999,
        "QC_Rest_1": 1,
        **dict.fromkeys(("QC_Rest_2", "QC_Rest_3", "QC_Rest_4"), "N/A"),
        "QC_Anatomical_1": 1,
        "QC_Anatomical_2": "N/A",
    }
    return pd.DataFrame(columns)


def _paint(signals_TR: Array, anatomy: Anatomy, rng: Generator) -> Array:
    """Scanner values of each voxel, shape (T, V): 1.5 % BOLD change around the baseline."""
    shape = (len(signals_TR), *anatomy.grid.shape)
    sigma = [NOISE_FWHM_MM / 2.355 / edge for edge in anatomy.grid.spacing_mm]
    noise: Array = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, axes=(1, 2, 3), truncate=3)
    noise_TV = _standardised(lfilter([1], [1, -0.4], noise[:, anatomy.grid.mask], axis=0))
    gain_V = anatomy.gain
    z_TV = gain_V * signals_TR[:, anatomy.region] + np.sqrt(1 - gain_V**2) * noise_TV
    return anatomy.baseline * (1 + 0.015 * _standardised(z_TV))


def _describe(root: Path, regions: pd.DataFrame, seed: int) -> None:
    truth = pd.DataFrame({"index": regions["index"], "planted": regions["name"].isin(PLANTED).astype(int)})
    truth.to_csv(root / "truth.tsv", sep="\t", index=False)
    description = {
        "Name": "fmrifm embedded cohort (synthetic)",
        "Synthetic": True,
        "Seed": seed,
        "Atlas": APPROXIMATION,
    }
    text = json.dumps(description | {"Planted": PLANTED}, indent=2)
    (root / "dataset_description.json").write_text(text + "\n")


def _save(values_TV: Array, grid: Grid, tr_s: float, path: Path) -> None:
    path.parent.mkdir(parents=True)
    image = grid.image(np.rint(values_TV).astype(np.int16).T)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((*grid.spacing_mm, tr_s))
    nib.save(image, path)


def _standardised(values: NDArray[np.floating]) -> Array:
    """Mean 0 and variance 1 along the first axis."""
    return np.asarray((values - values.mean(axis=0)) / values.std(axis=0), dtype=np.float32)
