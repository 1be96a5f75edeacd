import pickle
import re
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

import fmrifm
from fmrifm.config import AtlasConfig, ModelConfig, PrepareConfig, ReadoutConfig, TokensConfig
from fmrifm.data.grid import mni_grid
from fmrifm.data.phantom import write_phantom
from fmrifm.data.store import Store
from fmrifm.data.windows import Windows
from fmrifm.errors import CheckpointError, DataError
from fmrifm.estimators import Classifier, Embedder
from fmrifm.evaluation.labels import labelled_scans
from fmrifm.evaluation.probe import linear_classifier, scan_features, scan_summaries
from fmrifm.evaluation.readout import pooled_features, predict_folds
from fmrifm.evaluation.splits import Fold
from fmrifm.model.heads import ScanClassifier
from fmrifm.stages.prepare import prepare
from fmrifm.training.checkpoint import Pretrained, build_model, load_pretrained, save_pretrained


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A few generated subjects on an 8 mm grid, with their files."""
    folder = tmp_path_factory.mktemp("cohort")
    root = write_phantom(folder / "raw", subjects=(6, 6), volumes=40)
    prepare(
        PrepareConfig(
            source="athena",
            root=str(root),
            out=str(folder / "store"),
            spacing_mm=8,
            atlas=AtlasConfig(approximation=True),
        )
    )
    return Store(folder / "store")


@pytest.fixture(scope="module")
def checkpoint(cohort: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model over that store's grid and regions."""
    torch.manual_seed(0)
    tokens, sizes = (
        TokensConfig(window_volumes=24, patch_volumes=4, grow_mm=8),
        ModelConfig(width=24, layers=1, heads=2, queries=8, components=0),
    )
    mean, deviation = np.zeros((2, len(cohort.grid.voxels)), np.float32)
    pretrained = Pretrained(
        model=build_model(cohort.grid, cohort.atlas, tokens, sizes).eval(),
        grid=cohort.grid,
        atlas=cohort.atlas,
        tokens=tokens,
        sizes=sizes,
        subjects=(),
        mean=mean.copy(),
        deviation=deviation.copy(),
        about={"cleaning": cohort.attributes["settings"]["cleaning"]},
    )
    return save_pretrained(tmp_path_factory.mktemp("model") / "best", pretrained)


@pytest.fixture(scope="module")
def files(cohort: Store) -> list[str]:
    return [str(Path(cohort.path).parent / "raw" / path) for path in cohort.scans["path"]]


def of_store(cohort: Store, checkpoint: Path) -> np.ndarray:
    """What `finetune` reads of the store's scans."""
    pretrained = load_pretrained(checkpoint)
    classifier = ScanClassifier(pretrained.model, "connectivity").eval()
    windows = Windows(cohort, cohort.scans["scan"].tolist(), pretrained.tokens.window_volumes)
    return scan_features(classifier, scan_summaries(classifier, windows, range(len(windows))))


def test_a_file_embeds_as_its_entry_in_the_store_does(cohort, checkpoint, files):
    np.testing.assert_array_equal(Embedder(checkpoint).fit_transform(files), of_store(cohort, checkpoint))


def test_paths_wildcards_images_and_lists_of_them_embed_alike(checkpoint, files):
    embedder = Embedder(checkpoint).fit(files)
    one = embedder.transform([files[0]])
    for given in (files[0], Path(files[0]), nib.load(files[0]), [nib.load(files[0])], files[0][:-4] + "*"):
        np.testing.assert_array_equal(embedder.transform(given), one)


def test_an_image_changed_in_memory_is_not_read_from_its_file(checkpoint, files):
    image = nib.load(files[0])
    mirrored = nib.Nifti1Image(np.asarray(image.dataobj)[::-1], image.affine, image.header)
    embedder = Embedder(checkpoint).fit(files)
    assert np.abs(embedder.transform(mirrored) - embedder.transform(image)).max() > 0.01


def test_the_table_says_what_was_resampled(checkpoint, files, tmp_path):
    image = nib.load(files[0])
    grid = mni_grid(8)
    on_grid = nib.Nifti1Image(
        np.random.default_rng(0).normal(100, 5, (*grid.shape, 30)).astype(np.float32), grid.affine
    )
    on_grid.header.set_xyzt_units("mm", "sec")
    on_grid.header.set_zooms((8, 8, 8, 1.5))
    nib.save(on_grid, tmp_path / "on_grid.nii.gz")
    table = Embedder(checkpoint).fit(files).table([files[0], tmp_path / "on_grid.nii.gz", image])
    assert table["resampled"].tolist() == [True, False, True]
    assert table["own_voxel_mm"].tolist() == ["4 x 4 x 4", "8 x 8 x 8", "4 x 4 x 4"]
    assert table["tr_s"].tolist() == table["own_tr_s"].tolist() == [2.0, 1.5, 2.0]
    assert table["n_windows"].tolist() == [2, 2, 2]
    assert table["path"].tolist()[:2] == [files[0], str(tmp_path / "on_grid.nii.gz")]
    assert table["path"].isna().tolist() == [False, False, True]


def test_real_files_of_a_users_folder_embed_or_are_refused_by_name(test_data, checkpoint):
    embedder, refused = Embedder(checkpoint).fit(["any"]), []
    run = test_data / "bold_mni" / "nura_sess1_bold.nii.gz"
    row = embedder.table(run).iloc[0]
    assert (row["own_voxel_mm"], row["n_volumes"], bool(row["resampled"])) == ("3 x 3 x 3", 126, True)
    assert 0.6 < row["coverage"] < 0.75
    assert np.isfinite(embedder.transform(run)).all()
    for path in sorted((test_data / "bold_native").glob("*.nii*")):
        with pytest.raises(DataError, match=re.escape(str(path))):
            embedder.transform(path)
        refused.append(path)
    assert len(refused) > 5


def test_features_are_named_by_pairs_of_regions(checkpoint, files, cohort):
    embedder = Embedder(checkpoint).set_output(transform="pandas").fit(files)
    table = embedder.transform(files[:2])
    assert isinstance(table, pd.DataFrame)
    names = cohort.atlas.regions.set_index("index")["name"]
    values = embedder.pretrained_.model.tokenizer.values
    assert table.columns[0] == f"{names[values[0]]}~{names[values[1]]}"
    assert table.columns[-1] == f"{names[values[-2]]}~{names[values[-1]]}"
    assert table.shape == (2, embedder.n_features_out_)


@pytest.mark.parametrize("connectivity", ["tangent", "log_euclidean"])
def test_the_diagonal_is_named_where_it_is_a_feature(connectivity, checkpoint, files):
    embedder = Embedder(checkpoint, connectivity=connectivity).fit(files[:3])
    first, *_, last = embedder.get_feature_names_out()
    assert len(set(first.split("~"))) == len(set(last.split("~"))) == 1
    assert embedder.transform(files[:2]).shape[1] == len(embedder.get_feature_names_out())


def test_tangent_connectivity_takes_its_reference_from_what_was_fitted(checkpoint, files):
    embedder = Embedder(checkpoint, connectivity="tangent")
    known = embedder.fit_transform(files[:6])
    np.testing.assert_array_equal(embedder.transform(files[:6]), known)
    assert np.abs(Embedder(checkpoint, connectivity="tangent").fit(files[6:]).transform(files[:6]) - known).max() > 1e-3


def test_a_fitted_embedder_survives_pickling_and_clones_are_unfitted(checkpoint, files):
    embedder = Embedder(checkpoint, pooling="mean").fit(files)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(embedder)).transform(files[:2]), embedder.transform(files[:2])
    )
    assert not hasattr(clone(embedder), "pretrained_")


def test_memory_serves_every_fit_and_estimator_until_file_or_model_changes(checkpoint, files, tmp_path, monkeypatch):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(Path(files[0]).read_bytes())
    given = [path, nib.load(files[1])]
    one = Embedder(checkpoint, memory=tmp_path / "memory").fit_transform(given)
    with monkeypatch.context() as patched:
        patched.setattr("fmrifm.evaluation.remembered.embed_scan", lambda *_: pytest.fail("computed twice"))
        again = Embedder(checkpoint, memory=tmp_path / "memory").fit(given)
        np.testing.assert_array_equal(again.transform([path, nib.load(files[1])]), one)
    path.write_bytes(Path(files[1]).read_bytes())
    np.testing.assert_array_equal(again.transform(path), again.transform(files[1]))
    other = replace(load_pretrained(checkpoint), about={"cleaning": {"detrend": True}})
    changed = save_pretrained(tmp_path / "other", other)
    assert (
        np.abs(Embedder(changed, memory=tmp_path / "memory").fit_transform(path) - again.transform(path)).max() > 1e-4
    )


@pytest.mark.parametrize("given", [str, Path, nib.load])
def test_cross_validation_on_what_nilearn_takes_scores_as_the_read_out_of_the_store(given, checkpoint, files, cohort):
    settings = {"y": cohort.scans["dx"], "cv": 2, "scoring": "roc_auc", "error_score": "raise"}
    scores = cross_val_score(Classifier(checkpoint), [given(file) for file in files], **settings)
    features = of_store(cohort, checkpoint).astype(np.float64)
    expected = cross_val_score(linear_classifier(features.shape[1], penalty=1.0), features, **settings)
    np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize("connectivity", ["correlation", "tangent"])
def test_the_classifier_predicts_what_evaluate_predicts_of_a_fold(connectivity, checkpoint, files, cohort):
    pretrained, scans = load_pretrained(checkpoint), labelled_scans(cohort.scans, "dx")
    network = ScanClassifier(pretrained.model, "connectivity", connectivity).eval()
    windows = Windows(cohort, scans["scan"].tolist(), pretrained.tokens.window_volumes)
    features = pooled_features(network, scan_summaries(network, windows, range(len(windows))), scans["site"])
    fold = Fold(train=tuple(scans["subject"][:8]), test=tuple(scans["subject"][8:]))
    told = predict_folds(features, scans, [fold], ReadoutConfig(connectivity=connectivity))
    ours = Classifier(checkpoint, connectivity=connectivity).fit(files[:8], scans["dx"][:8]).predict_proba(files[8:])
    np.testing.assert_allclose(ours[:, 1], told["probability"], atol=1e-6)


def test_a_pipeline_is_searched_over(checkpoint, files, cohort, tmp_path):
    steps = make_pipeline(Embedder(checkpoint, memory=tmp_path), StandardScaler(), LogisticRegression())
    search = GridSearchCV(steps, {"embedder__pooling": ["mean", "connectivity"]}, cv=2)
    assert search.fit(files, cohort.scans["dx"]).best_params_["embedder__pooling"] in ("mean", "connectivity")


def test_the_classifier_learns_what_was_planted_and_keeps_the_labels_as_given(checkpoint, files, cohort):
    names = np.where(cohort.scans["dx"] == 1, "ADHD", "control")
    classifier = Classifier(checkpoint).fit(files, names)
    assert classifier.classes_.tolist() == ["ADHD", "control"]
    assert (classifier.predict(files) == names).mean() > 0.9
    probability = classifier.predict_proba(files[:3])
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert ((classifier.decision_function(files[:3]) > 0) == (probability[:, 1] > 0.5)).all()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "No scan was given"),
        (["nowhere.nii"], "nowhere.nii: no such file"),
        (["nowhere*.nii"], "nowhere\\*.nii: no file matches"),
        ([np.zeros((2, 3))], "ndarray in the list of scans"),
        (7, "int: no scan"),
    ],
)
def test_what_is_no_scan_is_refused_in_words(given, said, checkpoint, files):
    with pytest.raises(DataError, match=said):
        Embedder(checkpoint).fit(files).transform(given)


@pytest.mark.parametrize("estimator", [Embedder, Classifier])
def test_a_matrix_of_numbers_is_refused_when_it_is_fitted(estimator, checkpoint):
    with pytest.raises(DataError, match=r"ndarray in the list of scans\. Expected paths of 4D NIfTI files"):
        estimator(checkpoint).fit(np.zeros((2, 3)), [0, 1])


def test_labels_that_do_not_serve_are_refused_in_words(checkpoint, files):
    with pytest.raises(DataError, match="2 scans and 1 labels"):
        Classifier(checkpoint).fit(files[:2], [0])
    with pytest.raises(DataError, match="All 2 labels are 0"):
        Classifier(checkpoint).fit(files[:2], [0, 0])


def test_a_checkpoint_that_is_not_there_is_named():
    with pytest.raises(CheckpointError, match="nowhere: no checkpoint here"):
        fmrifm.Embedder("nowhere").fit(["scan.nii"])


@parametrize_with_checks([Embedder("nowhere"), Classifier("nowhere")])
def test_checks_of_scikit_learn_that_it_runs_on_images_pass(estimator, check):
    """It runs few: most feed a matrix of numbers, and the tags say that X holds none."""
    check(estimator)


@pytest.mark.parametrize("estimator", [Embedder("nowhere"), Classifier("nowhere")], ids=["Embedder", "Classifier"])
@pytest.mark.parametrize("check", [
    "check_no_attributes_set_in_init", "check_get_params_invariance", "check_set_params", "check_estimator_cloneable",
    "check_estimator_repr", "check_mixin_order", "check_valid_tag_types", "check_estimator_tags_renamed",
    "check_estimators_unfitted",
])  # fmt: skip
def test_checks_of_scikit_learn_that_need_no_data_pass(check, estimator):
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


@pytest.mark.parametrize("estimator", [Embedder("nowhere"), Classifier("nowhere")])
@pytest.mark.parametrize("method", ["transform", "table", "get_feature_names_out", "predict", "predict_proba"])
def test_an_unfitted_estimator_says_so(method, estimator):
    if hasattr(estimator, method):
        with pytest.raises(NotFittedError):
            getattr(estimator, method)(*([] if method.startswith("get") else [["scan.nii"]]))
