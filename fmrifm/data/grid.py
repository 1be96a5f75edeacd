"""The MNI voxel grid that every scan is brought to.

Axes: X, Y, Z voxels of the box; V voxels inside the brain mask, in C order of the box.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import nibabel as nib
import numpy as np
from nilearn.datasets import load_mni152_brain_mask
from nilearn.image import resample_to_img
from numpy.typing import ArrayLike, NDArray

Scalar = TypeVar("Scalar", bound=np.generic)

_EXTENT_MM = (196, 232, 188)
_ORIGIN_MM = (-98.0, -134.0, -72.0)


@dataclass(frozen=True, eq=False)
class Grid:
    """A box of voxels in MNI space with a brain mask.

    Args:
        affine: Voxel indices to millimetres (RAS), shape (4, 4).
        mask: True inside the brain, shape (X, Y, Z).
    """

    affine: NDArray[np.float64]
    mask: NDArray[np.bool_]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along x, y and z."""
        x, y, z = self.mask.shape
        return x, y, z

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Edge lengths of a voxel in mm."""
        x, y, z = nib.affines.voxel_sizes(self.affine)
        return float(x), float(y), float(z)

    @cached_property
    def voxels(self) -> NDArray[np.int64]:
        """Indices of the brain voxels, shape (V, 3)."""
        return np.argwhere(self.mask)

    @cached_property
    def coordinates_mm(self) -> NDArray[np.float64]:
        """Centres of the brain voxels in mm (RAS), shape (V, 3)."""
        return np.asarray(nib.affines.apply_affine(self.affine, self.voxels))

    def holds(self, image: nib.spatialimages.SpatialImage) -> bool:
        """Whether an image already lies on this grid, to a hundredth of a millimetre."""
        return image.shape[:3] == self.shape and bool(np.allclose(image.affine, self.affine, atol=1e-2))

    def flatten(self, volume: NDArray[Scalar]) -> NDArray[Scalar]:
        """Take the brain voxels of a box: (X, Y, Z, ...) to (V, ...)."""
        return volume[self.mask]

    def image(self, values_V: ArrayLike, fill: float = 0.0) -> nib.Nifti1Image:
        """Put one value, or one row, per brain voxel back into a NIfTI image; `fill` stands outside the brain."""
        values = np.asarray(values_V)
        box = np.full(self.shape + values.shape[1:], fill, dtype=values.dtype)
        box[self.mask] = values
        return nib.Nifti1Image(box, self.affine)


def mni_grid(spacing_mm: float = 4.0) -> Grid:
    """Return the grid over the MNI152 brain mask that ships with nilearn.

    At 4 mm it is the grid of ADHD-200's Athena pipeline: (49, 58, 47) voxels.
    """
    shape = tuple(round(extent / spacing_mm) for extent in _EXTENT_MM)
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = _ORIGIN_MM
    box = nib.Nifti1Image(np.zeros(shape, np.uint8), affine)
    mask = resample_to_img(
        load_mni152_brain_mask(resolution=2), box, interpolation="nearest", force_resample=True, copy_header=True
    )
    return Grid(affine=affine, mask=np.asarray(mask.dataobj) > 0)
