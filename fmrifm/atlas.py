"""Regions: a label per brain voxel, and the table that says what each label means.

AAL3 values are labels, not positions: 1-170 without 35, 36, 81 and 82. Small nuclei can
vanish on a coarse grid; they are rescued into one voxel or named as lost, never kept as zeros.

Axes: X, Y, Z voxels of a box; V brain voxels, in C order of the box; R regions.
"""

import json
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from xml.etree.ElementTree import ParseError

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.datasets import fetch_atlas_aal
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import center_of_mass, distance_transform_edt, map_coordinates
from scipy.spatial.distance import cdist

from fmrifm.config import AtlasConfig
from fmrifm.errors import AtlasError
from fmrifm.resources import resource

NAME = "AAL3"
APPROXIMATION = "AAL3 approximation"

_POINTS = 4
"""Sub-voxels along each edge of a voxel that vote for its label."""
_CUTOFF = 1.21
"""Radii from its centroid at which an approximate region ends; labels 76 % of the 4 mm brain mask, as AAL3 does."""

_FETCH_ERRORS = (OSError, ValueError, EOFError, zlib.error, tarfile.TarError, ParseError)
"""No connection, no such file, a full or closed disk; an archive or list of names that is damaged."""

Placed = tuple[NDArray[np.int32], tuple[int, ...], tuple[int, ...]]
"""Labels (V,), the values that were rescued, the values that have no voxel."""


@dataclass(frozen=True, eq=False)
class Atlas:
    """Which region each brain voxel belongs to.

    Args:
        labels: Atlas value of each brain voxel, shape (V,), int32, 0 = no region.
        regions: One row a region: index, name, hemisphere, system, x_mm, y_mm, z_mm, volume_mm3.
        name: "AAL3", or "AAL3 approximation" when it was built from centroids.
        origin: Where the labels came from.
        rescued: Values of regions that vanished on the grid and were given their centroid's voxel.
        lost: Values of regions that have no voxel on the grid.
    """

    labels: NDArray[np.int32]
    regions: pd.DataFrame
    name: str = NAME
    origin: str = ""
    rescued: tuple[int, ...] = ()
    lost: tuple[int, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Everything but the labels, for a store or checkpoint."""
        return {
            "regions": json.loads(self.regions.to_json(orient="records")),
            "name": self.name,
            "origin": self.origin,
            "rescued": list(self.rescued),
            "lost": list(self.lost),
        }

    @classmethod
    def from_json(cls, labels: NDArray[np.int32], content: Mapping[str, Any]) -> "Atlas":
        """The inverse of `to_json`."""
        return cls(
            labels=labels,
            regions=pd.DataFrame(content["regions"]),
            name=content["name"],
            origin=content["origin"],
            rescued=tuple(content["rescued"]),
            lost=tuple(content["lost"]),
        )


def read_regions() -> pd.DataFrame:
    """Return the AAL3 table that ships with fmrifm, one row for each of the 166 regions."""
    return pd.read_csv(resource("atlases", "aal3", "regions.tsv"), sep="\t")


def load_atlas(config: AtlasConfig, mask: nib.Nifti1Image) -> Atlas:
    """Bring AAL3 to a grid: from the user's file, nilearn's download, or the approximation where asked for.

    Args:
        config: Which of the three.
        mask: Brain mask on the grid, 1 in the brain.

    Raises:
        AtlasError: The image cannot be had, is not AAL3, or lies outside the brain.
    """
    if config.path is not None and config.approximation:
        raise AtlasError(f"atlas.path is {config.path} and atlas.approximation is true; give one of the two.")
    regions = read_regions()
    if config.approximation:
        name, origin = APPROXIMATION, "centroids and volumes of the AAL3 regions"
        labels, rescued, _ = approximate_labels(mask)
    else:
        path = Path(config.path) if config.path is not None else _download(regions)
        name, origin = NAME, path.name if config.path is not None else "nilearn.datasets.fetch_atlas_aal('3v2')"
        labels, rescued, _ = resample_labels(_read_image(path, regions), mask)
        if not labels.any():
            raise AtlasError(f"{path}: no region lies inside the brain mask. Give an image in MNI space.")
    lost = np.setdiff1d(regions["index"], labels)  # the regions that the image itself lacks among them
    return Atlas(labels, regions, name, origin, rescued, tuple(lost.tolist()))


def resample_labels(image: nib.Nifti1Image, mask: nib.Nifti1Image) -> Placed:
    """Bring a label image to the brain voxels of a grid by majority vote over sub-voxels.

    A voxel is labelled where at least half of its sub-voxels are, with their most frequent label. A
    region that wins none is rescued into the brain voxel nearest to its centroid, at most a voxel's
    diagonal away and never the only voxel of another region.

    Args:
        image: Labels, shape (X, Y, Z), whole numbers, 0 = no region; any affine.
        mask: Brain mask on the grid, 1 in the brain.
    """
    labels = np.asarray(image.dataobj).astype(np.int32)
    voxels = np.argwhere(np.asarray(mask.dataobj) > 0)
    to_image = np.linalg.inv(image.affine) @ mask.affine
    steps = (np.arange(_POINTS) + 0.5) / _POINTS - 0.5
    offsets = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    points = [nib.affines.apply_affine(to_image, voxels + offset).T for offset in offsets]
    votes = [map_coordinates(labels, point, np.int32, order=0, mode="grid-constant") for point in points]
    values = np.unique(labels[labels > 0])
    centroids = np.reshape(center_of_mass(labels > 0, labels, values), (-1, 3))
    return _rescue(_majority(np.stack(votes, axis=1)), values, nib.affines.apply_affine(image.affine, centroids), mask)


def approximate_labels(mask: nib.Nifti1Image) -> Placed:
    """Label each brain voxel with the region whose centroid is nearest, in units of the region's radius.

    The radius is that of a ball with the region's volume. At 4 mm, 66 % of the voxels that AAL3 labels
    too get the same region and 88 % the same system: good for synthetic data, not for findings.

    Args:
        mask: Brain mask on the grid, 1 in the brain.
    """
    regions = read_regions()
    centroids_mm = regions[["x_mm", "y_mm", "z_mm"]].to_numpy()
    radius_mm = np.cbrt(regions["volume_mm3"].to_numpy() * 3 / (4 * np.pi))
    distance_VR = cdist(_coordinates_mm(mask), centroids_mm) / radius_mm
    nearest_V = regions["index"].to_numpy(np.int32)[distance_VR.argmin(axis=1)]
    nearest_V[distance_VR.min(axis=1) > _CUTOFF] = 0
    return _rescue(nearest_V, regions["index"], centroids_mm, mask)


def grow_labels(
    labels_V: NDArray[np.int32], voxels: NDArray[np.integer], spacing_mm: Sequence[float], grow_mm: float
) -> NDArray[np.int32]:
    """Let labels grow into unlabelled brain voxels, each taking its nearest labelled voxel's.

    Args:
        labels_V: Label of each brain voxel, 0 = no region.
        voxels: Indices of the brain voxels, shape (V, 3).
        spacing_mm: Edge lengths of a voxel in mm, three numbers.
        grow_mm: Farthest a label reaches, in mm.
    """
    position = tuple(voxels.T)
    box = np.zeros(voxels.max(axis=0) + 1, dtype=np.int32)
    box[position] = labels_V
    distance, nearest = distance_transform_edt(box == 0, sampling=spacing_mm, return_indices=True)
    return np.asarray(np.where(distance <= grow_mm, box[tuple(nearest)], box)[position])


def _coordinates_mm(mask: nib.Nifti1Image) -> NDArray[np.float64]:
    return np.asarray(nib.affines.apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj) > 0)))


def _majority(votes_VS: NDArray[np.int32]) -> NDArray[np.int32]:
    """Most frequent label of each row, 0 where less than half of it is labelled; a tie goes to the larger label."""
    row, column = np.nonzero(votes_VS)
    base = int(votes_VS.max()) + 1
    pairs, counts = np.unique(row * base + votes_VS[row, column], return_counts=True)
    pairs = pairs[np.argsort(counts, kind="stable")]
    winner_V = np.zeros(len(votes_VS), dtype=np.int32)
    winner_V[pairs // base] = pairs % base  # assigned in order: the most frequent comes last and stays
    winner_V[(votes_VS > 0).mean(axis=1) < 0.5] = 0
    return winner_V


def _rescue(labels_V: NDArray[np.int32], values: ArrayLike, centroids_mm: ArrayLike, mask: nib.Nifti1Image) -> Placed:
    """Give each region without a voxel the nearest one that is not the only voxel of another."""
    coordinates_mm, reach_mm = _coordinates_mm(mask), np.linalg.norm(nib.affines.voxel_sizes(mask.affine))
    labels_V, rescued, lost = labels_V.copy(), [], []
    for value, centroid_mm in zip(np.asarray(values).tolist(), np.asarray(centroids_mm), strict=True):
        if value in labels_V:
            continue
        distance_mm = np.linalg.norm(coordinates_mm - centroid_mm, axis=1)
        distance_mm[(labels_V > 0) & (np.bincount(labels_V)[labels_V] == 1)] = np.inf
        if distance_mm.min() <= reach_mm:
            labels_V[distance_mm.argmin()] = value
            rescued.append(value)
        else:
            lost.append(value)
    return labels_V, tuple(rescued), tuple(lost)


def _download(regions: pd.DataFrame) -> Path:
    """AAL3 from nilearn's cache or the network, checked against the table."""
    try:
        atlas = fetch_atlas_aal("3v2", verbose=0)
    except _FETCH_ERRORS as error:
        raise AtlasError(
            f"AAL3 could not be fetched with nilearn.datasets.fetch_atlas_aal('3v2') ({type(error).__name__}); "
            "give --atlas.path AAL3.nii.gz, or --atlas.approximation true for synthetic data and trials."
        ) from error
    # Its list also names 35, 36, 81 and 82, which the image does not use.
    names = dict(zip(map(int, atlas.indices), atlas.labels, strict=True))
    found = regions["index"].map(names)
    if (differs := found != regions["name"]).any():
        index, expected = regions.loc[differs, ["index", "name"]].iloc[0]
        raise AtlasError(
            f"{atlas.maps}: {differs.sum()} regions have another name than in fmrifm's table, first {index}: "
            f"{names.get(index)}, expected {expected}. Give --atlas.path with AAL3v1."
        )
    return Path(atlas.maps)


def _read_image(path: Path, regions: pd.DataFrame) -> nib.Nifti1Image:
    """The label image of a file that holds AAL3 values and no others."""
    try:
        image = cast("nib.Nifti1Image", nib.load(path))
        values = np.unique(np.asarray(image.dataobj))
    except (OSError, EOFError, nib.filebasedimages.ImageFileError) as error:
        raise AtlasError(f"{path}: cannot be read as an image ({error}). Give AAL3 as a NIfTI file.") from error
    if image.ndim != 3:
        raise AtlasError(f"{path}: shape {image.shape}, expected 3 axes (x, y, z). Give AAL3 as one label image.")
    if len(broken := values[values != np.rint(values)]):
        raise AtlasError(f"{path}: value {broken[0]:g} is no label. Resample labels with nearest-neighbour alone.")
    if len(unknown := np.setdiff1d(values, [0, *regions["index"]])):
        found = ", ".join(f"{value:g}" for value in unknown[:10]) + (", ..." if len(unknown) > 10 else "")
        raise AtlasError(f"{path}: values {found} are not in AAL3 (1-170 without 35, 36, 81, 82). Give AAL3v1.")
    return image
