"""
Pretrain, fit, ask which regions mattered
=========================================

The whole chain from Python, on a cohort so small that it takes a minute: what it shows is how the stages fit together,
not what they can find. ``fmrifm demo`` is the same on a cohort large enough to find what was planted.
"""

# %%
# Twenty synthetic children at two sites.

import tempfile
from pathlib import Path

from fmrifm.data.phantom import write_phantom
from fmrifm.recipes import fill
from fmrifm.stages.prepare import prepare

folder = Path(tempfile.mkdtemp())
cohort = write_phantom(folder / "cohort", subjects=(10, 10), volumes=48)
store = prepare(fill("prepare", "demo", {"root": cohort, "out": folder / "store.zarr"}))

# %%
# Hide whole regions and learn to predict them. A stage is a function from settings to the folder that it wrote;
# ``fill`` reads a recipe and adds to it.

from fmrifm.stages.pretrain import pretrain

quiet = {"max_epochs": 2, "accelerator": "cpu", "enable_progress_bar": False}
pretrained = pretrain(fill("pretrain", "demo", {"store": store, "out": folder / "pretrain", "trainer": quiet}))

# %%
# A classifier a fold on the frozen encoder, and the regions that it looks at, by occlusion.

from fmrifm.stages.attribute import attribute
from fmrifm.stages.finetune import finetune

finetuned = finetune(fill("finetune", "demo", {"store": store, "checkpoint": pretrained, "out": folder / "finetune"}))
asked = {"methods": "occlusion", "scans": 6, "windows_per_scan": 1, "check_scans": 2, "permutations": 200}
run = attribute(fill("attribute", "demo", {"store": store, "checkpoint": finetuned, "out": folder / "run", **asked}))

# %%
# The ranking, and what its checks say.

import pandas as pd

from fmrifm.attribution.sanity import verdicts

regions = pd.read_csv(run / "regions.tsv", sep="\t")
regions.sort_values("rank").head(10)[["rank", "name", "system", "importance", "ci_low", "ci_high", "p_fdr"]]

# %%
print("\n".join(verdicts(pd.read_csv(run / "checks.tsv", sep="\t"))))
