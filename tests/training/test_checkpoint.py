import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fmrifm.data.windows import Windows
from fmrifm.errors import CheckpointError
from fmrifm.model.draws import draw_tokens
from fmrifm.training.checkpoint import load_pretrained, save_pretrained


def change(sidecar: Path, **changes: object) -> None:
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | changes))


@pytest.fixture
def saved(tmp_path, pretrained) -> Path:
    return save_pretrained(tmp_path / "run" / "checkpoints" / "best", pretrained)


def test_a_loaded_model_gives_the_same_features_and_reconstruction_to_the_last_bit(saved, pretrained, store):
    batch = Windows(store, ["s01_1"], 8)[0, 3]
    signal, covered, tr_s = (part[None] for part in batch[:3])
    hidden = torch.arange(pretrained.model.tokenizer.patches * len(pretrained.model.tokenizer.region))[None] % 3 > 0
    models = pretrained.model, load_pretrained(saved).model
    one, other = (model.features(signal, tr_s) for model in models)
    assert torch.equal(one, other)
    one, other = (
        model(signal, covered, tr_s, draw_tokens(hidden, torch.Generator().manual_seed(0))) for model in models
    )
    assert torch.equal(one.prediction, other.prediction)
    assert not models[1].training


def test_what_the_use_of_a_model_depends_on_travels_with_it(saved, pretrained):
    loaded = load_pretrained(saved)
    for name in ("tokens", "sizes", "subjects", "about"):
        assert getattr(loaded, name) == getattr(pretrained, name)
    for name in ("mean", "deviation"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(pretrained, name))
    np.testing.assert_array_equal(loaded.grid.mask, pretrained.grid.mask)
    np.testing.assert_array_equal(loaded.grid.affine, pretrained.grid.affine)
    np.testing.assert_array_equal(loaded.atlas.labels, pretrained.atlas.labels)
    assert loaded.atlas.regions.equals(pretrained.atlas.regions)


def test_the_files_say_what_they_are(saved):
    content = json.loads(saved.with_suffix(".json").read_text())
    assert {"fmrifm_checkpoint": 2, "kind": "pretrained"}.items() <= content.items()
    assert content["normalisation"] == "per-voxel z-score over time, within the scan"
    assert content["model"]["width"] == 24
    names = {"grid.mask", "atlas.labels", "normalisation.mean", "normalisation.deviation"}
    assert names == {name for name in load_file(saved) if not name.startswith("model.")}
    assert sorted(file.name for file in saved.parent.iterdir()) == ["best.json", "best.safetensors"]


def test_the_best_weights_of_a_run_are_found_from_its_folder(saved, pretrained):
    save_pretrained(saved.with_name("last"), pretrained)
    change(saved.with_name("last.json"), subjects=["other"])
    for path in (saved.parents[1], saved.parent):
        assert load_pretrained(path).subjects == ("s00", "s01")


def test_a_folder_without_a_checkpoint_says_what_belongs_there(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint here\. Expected the run folder of `fmrifm pretrain`"):
        load_pretrained(tmp_path)


def test_a_missing_half_is_named(saved):
    saved.with_suffix(".json").unlink()
    with pytest.raises(CheckpointError, match=r"best\.json: missing"):
        load_pretrained(saved)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fmrifm_checkpoint": 1}, "format 1 of an older fmrifm; this version reads format 2"),
        ({"fmrifm_checkpoint": 9}, "format 9 of a newer fmrifm; this version reads format 2. Update"),
        ({"kind": "classifier"}, "of kind classifier, expected pretrained"),
        ({"tokens": {"nonsense": 1}}, "has something else in its place"),
    ],
)
def test_another_format_is_refused_by_name(changed, said, saved):
    change(saved.with_suffix(".json"), **changed)
    with pytest.raises(CheckpointError, match=said):
        load_pretrained(saved)


def test_weights_of_another_network_are_refused(saved):
    change(saved.with_suffix(".json"), model={"width": 48, "layers": 1, "heads": 2})
    with pytest.raises(CheckpointError, match=r"weights do not fit this version of fmrifm .*size mismatch"):
        load_pretrained(saved)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_damaged_file_is_named(saved, suffix):
    path = saved.with_suffix(suffix)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="damaged"):
        load_pretrained(saved)


def test_foreign_weights_are_refused(tmp_path):
    save_file({"weight": torch.ones(2)}, tmp_path / "model.safetensors")
    (tmp_path / "model.json").write_text('{"format": "pt"}')
    with pytest.raises(CheckpointError, match="no checkpoint of fmrifm"):
        load_pretrained(tmp_path / "model.safetensors")
