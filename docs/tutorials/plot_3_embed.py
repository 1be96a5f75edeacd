"""
Embed scans with scikit-learn's words
=====================================

A pretrained model is a scikit-learn transformer that takes what nilearn takes: paths, wildcards, images in memory. So
it stands in pipelines, cross-validation and grid searches like any other.
"""

# %%
# A model, pretrained in half a minute on twenty synthetic children. Any run folder, checkpoint or ``owner/name`` of a
# repository on the Hugging Face hub serves as well.

import tempfile
from pathlib import Path

from fmrifm.data.phantom import write_phantom
from fmrifm.recipes import fill
from fmrifm.stages.prepare import prepare
from fmrifm.stages.pretrain import pretrain

folder = Path(tempfile.mkdtemp())
cohort = write_phantom(folder / "cohort", subjects=(10, 10), volumes=48)
store = prepare(fill("prepare", "demo", {"root": cohort, "out": folder / "store.zarr"}))
quiet = {"max_epochs": 2, "accelerator": "cpu", "enable_progress_bar": False}
run = pretrain(fill("pretrain", "demo", {"store": store, "out": folder / "pretrain", "trainer": quiet}))

# %%
# Twenty-eight other children, whom it has not seen: files and diagnoses, as you would have them.

import pandas as pd

others = write_phantom(folder / "others", seed=1, subjects=(14, 14), volumes=48)
tables = [pd.read_csv(path) for path in sorted(others.rglob("*phenotypic.csv"))]
people = pd.concat(tables, ignore_index=True)
files = [str(next(others.rglob(f"{subject:07d}/*.nii.gz"))) for subject in people["ScanDir ID"]]
diagnosis = people["DX"] > 0
diagnosis.value_counts()

# %%
# One row a scan. Scans may have any grid, length and repetition time in MNI space; ``table`` says what was resampled.

import fmrifm

embedder = fmrifm.Embedder(run, memory=folder / "memory").set_output(transform="pandas").fit(files)
features = embedder.transform(files)
features.iloc[:4, :4]

# %%
embedder.table(files[:2]).iloc[:, :8]

# %%
# In cross-validation, from file to score. ``memory`` keeps what was computed of each file, so that the encoder reads
# every scan once and not once a fold.

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

folds = StratifiedKFold(5, shuffle=True, random_state=0)
steps = make_pipeline(
    fmrifm.Embedder(run, memory=folder / "memory"), StandardScaler(), LogisticRegression(C=1e-3, max_iter=1000)
)
cross_val_score(steps, files, diagnosis, cv=folds, scoring="roc_auc").round(2)

# %%
# ``Classifier`` is the embedder with the linear read-out of ``fmrifm finetune`` on top.

classifier = fmrifm.Classifier(run, memory=folder / "memory")
scores = cross_val_score(classifier, files, diagnosis, cv=folds, scoring="roc_auc")
print(f"AUC {scores.mean():.2f}, from {scores.min():.2f} to {scores.max():.2f} over the folds")

# %%
# A choice is searched like any other; it is made inside the training scans if the search is cross-validated itself.

from sklearn.model_selection import GridSearchCV

search = GridSearchCV(classifier, {"pooling": ["mean", "connectivity"]}, cv=folds, scoring="roc_auc").fit(
    files, diagnosis
)
pd.DataFrame(search.cv_results_)[["param_pooling", "mean_test_score", "std_test_score"]].round(2)

# %%
# Five or six scans a fold scatter this widely. On measured scans ``fmrifm evaluate`` puts such a score beside
# connectome, site, phenotype and motion on the same folds, with intervals; believe it then.
