"""
What hides what: masks at an equal budget
=========================================

Tokens follow anatomy, and every strategy hides the same share of the same voxels. Here is what the encoder does not see
under four of them.
"""

# %%
# A small synthetic cohort, brought to one grid as any cohort would be.

import tempfile
from pathlib import Path

from fmrifm.config import AtlasConfig, PrepareConfig
from fmrifm.data.phantom import write_phantom
from fmrifm.data.store import Store
from fmrifm.stages.prepare import prepare

folder = Path(tempfile.mkdtemp())
cohort = write_phantom(folder / "cohort", subjects=(3, 3), volumes=48)
atlas = AtlasConfig(approximation=True)
store = Store(prepare(PrepareConfig(source="athena", root=str(cohort), out=str(folder / "store.zarr"), atlas=atlas)))
store.scans[["scan", "subject", "site", "tr_s", "n_volumes", "dx"]]

# %%
# Cut its labelled voxels into tokens: compact chunks of at most 5 x 5 x 5 voxels, each inside one region.

from fmrifm.config import MaskingConfig, TokensConfig
from fmrifm.model.tokens import tokenizer_for

tokenizer = tokenizer_for(store.grid, store.atlas, TokensConfig(edge_voxels=5, patch_volumes=24))
print(f"{len(tokenizer.region)} chunks tile {tokenizer.regions} regions")

# %%
# Draw a mask of each strategy and paint what it hides (white) over the pool (grey).

import matplotlib.pyplot as plt
import numpy as np
import torch
from nilearn.plotting import plot_roi

from fmrifm.masking import hidden_share, masker_for

figure, axes = plt.subplots(4, 1, figsize=(7, 9))
for axis, kind in zip(axes, ("random", "tube", "region", "parcels"), strict=True):
    masker = masker_for(tokenizer.pool, MaskingConfig(kind=kind, ratio=0.5))
    mask = masker(1, torch.Generator().manual_seed(0))
    shown = torch.zeros(tokenizer.voxels)
    shown[tokenizer.voxel[tokenizer.valid]] = 1
    hidden = mask[0][:, None].expand(-1, tokenizer.voxel.shape[1])
    shown[tokenizer.voxel[tokenizer.valid & hidden]] = 2
    title = f"{kind}: {hidden_share(mask, tokenizer.pool):.1%} of the voxels"
    image = store.grid.image(shown.numpy().astype(np.float32))
    plot_roi(
        image, axes=axis, figure=figure, title=title, cmap="gray", cut_coords=(20, -15, -5), bg_img=None, colorbar=False
    )
plt.show()
