"""An atlas: any label image in MNI space with a table of its regions, brought to a store's grid."""

import nibabel as nib
import numpy as np
import pandas as pd

from fmrifm.atlas import Atlas, resample_labels
from fmrifm.data.grid import Grid


def my_atlas(image: nib.Nifti1Image, regions: pd.DataFrame, grid: Grid) -> Atlas:
    """Labels of the brain voxels by majority vote; a region that vanishes on the grid is rescued and named.

    Args:
        image: Label image in MNI space, 0 = no region.
        regions: One row a region: index (its value in the image), name, system.
        grid: The store's grid: `Store(path).grid`.
    """
    brain = grid.image(np.ones(len(grid.voxels), np.uint8))
    labels, rescued, lost = resample_labels(image, brain)
    return Atlas(labels, regions, name="mine", origin="my image", rescued=rescued, lost=lost)


# A store keeps all brain voxels, so a model is cut for another atlas without preparing the scans anew:
# fmrifm.training.transfer.carried_over(pretrained, store.grid, my_atlas(image, regions, store.grid))
