"""A pretrained model as scikit-learn estimators that take what nilearn takes.

    fmrifm.Embedder("run").fit_transform(["sub-01_bold.nii.gz", "sub-02_bold.nii.gz"])
    cross_val_score(fmrifm.Classifier("run"), images, diagnosis)

Axes: S scans, D features, C classes.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from joblib import Memory
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, check_memory
from torch import Tensor

from fmrifm.config import Connectivity
from fmrifm.data.sources.loose import Niimg, Scan, each_scan
from fmrifm.errors import DataError
from fmrifm.evaluation.embedding import device_named, feature_names, feature_table, vectorise
from fmrifm.evaluation.probe import linear_classifier
from fmrifm.evaluation.remembered import model_state, remembering
from fmrifm.hub import from_pretrained
from fmrifm.model.heads import ScanClassifier

Images = Niimg | Iterable[Niimg]


class Embedder(TransformerMixin, BaseEstimator):
    """Turns 4D runs in MNI space into features of a pretrained encoder, one row a scan.

    Runs may have any grid, length and repetition time; `table` says what was resampled. They are cleaned as the
    scans that the model was pretrained on.

    Args:
        checkpoint: Run folder of `fmrifm pretrain`, one of its checkpoints, or the name of a repository on the
            Hugging Face hub. Of a run of `fmrifm finetune` it is the pretrained model that the run began with.
        pooling: `connectivity` of regions (D = R (R - 1) / 2 pairs), or the `mean` over tokens and time.
        connectivity: Form of connectivity: Fisher-z `correlation`, its `log_euclidean` form, or `tangent` at the
            mean of the scans given to `fit`.
        device: Where the encoder runs, as PyTorch names it; `auto` takes a GPU if there is one.
        memory: Folder, or joblib.Memory, that keeps what was computed of each scan, for grid searches.

    Attributes:
        pretrained_: The model with its grid, atlas and the subjects it has seen.
        n_features_out_: D.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        *,
        pooling: Literal["connectivity", "mean"] = "connectivity",
        connectivity: Connectivity = "correlation",
        device: str = "auto",
        memory: str | Path | Memory | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.pooling = pooling
        self.connectivity = connectivity
        self.device = device
        self.memory = memory

    def fit(self, X: Images, y: object = None) -> Self:
        """Load the model; `tangent` connectivity takes its reference from these scans.

        Args:
            X: Runs: paths, wildcards, images, or a list of these.
            y: Ignored.

        Raises:
            CheckpointError: No model there.
            DataError: A run cannot be used.
        """
        self._load()
        scans = _some(X)
        if self._learns:
            self.classifier_.pooling.fit(self._read(scans)[0])
        return self

    def fit_transform(self, X: Images, y: object = None, **fit_params: Any) -> NDArray[np.float32] | pd.DataFrame:
        """As `fit`, then `transform`, with every scan read once."""
        self._load()
        summaries, _ = self._read(_some(X))
        if self._learns:
            self.classifier_.pooling.fit(summaries)
        return vectorise(self.classifier_, summaries)

    def transform(self, X: Images) -> NDArray[np.float32] | pd.DataFrame:
        """Features of runs given as in `fit`, shape (S, D)."""
        check_is_fitted(self)
        return vectorise(self.classifier_, self._read(_some(X))[0])

    def table(self, X: Images) -> pd.DataFrame:
        """One row a scan: its path, what was read and resampled, then its features.

        Columns before the features: path, own_tr_s and tr_s (another one where the model's scans were interpolated to
        a common one), n_volumes, n_windows, coverage, own_voxel_mm, resampled (True where the run did not lie on the
        model's grid).
        """
        check_is_fitted(self)
        scans = _some(X)
        summaries, facts = self._read(scans)
        paths = [str(scan) if isinstance(scan, Path) else None for scan in scans]
        return feature_table(
            paths, facts, vectorise(self.classifier_, summaries), self.get_feature_names_out().tolist()
        )

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Names of the features, e.g. Insula_L~Insula_R for the connectivity of these two."""
        check_is_fitted(self)
        return np.array(feature_names(self.pretrained_, self.classifier_), dtype=object)

    @property
    def _learns(self) -> bool:
        return self.pooling == "connectivity" and self.connectivity == "tangent"

    def _load(self) -> None:
        self.pretrained_ = from_pretrained(self.checkpoint)
        self._model = model_state(self.pretrained_)
        classifier = ScanClassifier(self.pretrained_.model, self.pooling, self.connectivity).eval()
        self.classifier_ = classifier.to(device_named(self.device))
        self.n_features_out_ = self.classifier_.pooling.size

    def _read(self, scans: list[Scan]) -> tuple[Tensor, list[dict[str, Any]]]:
        """Summaries of all scans, (S, ...), and facts about each."""
        memory = check_memory(str(self.memory) if isinstance(self.memory, Path) else self.memory)
        embed = remembering(memory, (self._model, self.pooling), self.pretrained_, self.classifier_)
        rows = [embed(scan) for scan in scans]
        return torch.cat([summary for summary, _ in rows]), [facts for _, facts in rows]

    def __sklearn_tags__(self) -> Tags:
        return _of_images(super().__sklearn_tags__())


class Classifier(ClassifierMixin, BaseEstimator):
    """Tells labels apart by a linear classifier on the features of `Embedder`, as `fmrifm finetune` does.

    Args:
        checkpoint: As in `Embedder`, and so are pooling, connectivity, device and memory.
        pooling: How token features become one vector.
        connectivity: Form of connectivity.
        penalty: Strength of the L2 penalty, as a multiple of the number of features.
        device: Where the encoder runs.
        memory: Keeps what was computed of each scan.

    Attributes:
        classes_: The labels, sorted, shape (C,).
        embedder_: The fitted `Embedder`.
        model_: The fitted pipeline from features to labels.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        *,
        pooling: Literal["connectivity", "mean"] = "connectivity",
        connectivity: Connectivity = "correlation",
        penalty: float = 1.0,
        device: str = "auto",
        memory: str | Path | Memory | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.pooling = pooling
        self.connectivity = connectivity
        self.penalty = penalty
        self.device = device
        self.memory = memory

    def fit(self, X: Images, y: ArrayLike) -> Self:
        """Embed labelled runs and fit the linear classifier.

        Raises:
            CheckpointError: No model there.
            DataError: A run cannot be used, there is one label only, or not one for each run.
        """
        scans, labels = each_scan(X), np.asarray(y)
        if len(scans) != len(labels):
            raise DataError(f"{len(scans)} scans and {len(labels)} labels, expected as many. Give one label a scan.")
        if len(np.unique(labels)) < 2:
            raise DataError(f"All {len(labels)} labels are {labels[0]}, expected at least two different ones.")
        self.embedder_ = Embedder(
            self.checkpoint,
            pooling=self.pooling,
            connectivity=self.connectivity,
            device=self.device,
            memory=self.memory,
        )
        features = np.asarray(self.embedder_.fit_transform(scans), dtype=np.float64)
        self.model_ = linear_classifier(features.shape[1], self.penalty).fit(features, labels)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X: Images) -> NDArray[Any]:
        """Labels of runs, shape (S,)."""
        features = self._features(X)
        return np.asarray(self.model_.predict(features))

    def predict_proba(self, X: Images) -> NDArray[np.float64]:
        """Probability of each label, shape (S, C)."""
        features = self._features(X)
        return np.asarray(self.model_.predict_proba(features))

    def decision_function(self, X: Images) -> NDArray[np.float64]:
        """Log-odds of the second label, shape (S,), or a score of each of more labels, shape (S, C)."""
        features = self._features(X)
        return np.asarray(self.model_.decision_function(features))

    def _features(self, X: Images) -> NDArray[np.float64]:
        check_is_fitted(self)
        return np.asarray(self.embedder_.transform(X), dtype=np.float64)

    def __sklearn_tags__(self) -> Tags:
        return _of_images(super().__sklearn_tags__())


def _some(X: Images) -> list[Scan]:
    if not (scans := each_scan(X)):
        raise DataError("No scan was given. Expected at least one path or image.")
    return scans


def _of_images(tags: Tags) -> Tags:
    """Say that X holds images, not rows of numbers."""
    tags.input_tags.two_d_array = False
    tags.no_validation = True
    return tags
