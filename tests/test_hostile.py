"""Files made to do harm: each would leave a file behind if anything in it were run or written outside its place."""

import io
import json
import pickle
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fmrifm.cli import main
from fmrifm.data.sources import nilearn
from fmrifm.data.store import Store
from fmrifm.errors import DataError
from fmrifm.training.checkpoint import Pretrained, save_pretrained

TINY = """
tokens: {window_volumes: 8, patch_volumes: 4, edge_voxels: 2, grow_mm: 0}
model: {width: 24, layers: 1, heads: 2, queries: 8}
trainer: {accelerator: cpu, max_epochs: 1}
"""


class Harm:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The file that is there once harm was done."""
    return tmp_path / "harm"


def refused(words: list[object], mark: Path, capsys: pytest.CaptureFixture) -> str:
    """Run a command, see that it refuses in one sentence and did nothing, and return what it said."""
    assert main([str(word) for word in words]) == 2
    assert not mark.exists()
    said = capsys.readouterr()
    assert said.err.splitlines()[-1].startswith(f"fmrifm {words[0]}: ")
    assert "Traceback" not in said.err
    return said.out + said.err


def test_the_harm_is_real(mark: Path) -> None:
    pickle.loads(pickle.dumps(Harm(mark)))
    assert mark.exists()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["best.safetensors", "pytorch_model.bin", "best.ckpt"])
def test_a_pickle_offered_as_a_checkpoint_is_not_opened(
    name: str, zipped: bool, mark: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = tmp_path / "run" / "checkpoints"
    run.mkdir(parents=True)
    if zipped:
        torch.save(Harm(mark), run / name)
    else:
        (run / name).write_bytes(pickle.dumps(Harm(mark)))
    (run / "best.json").write_text(json.dumps({"fmrifm_checkpoint": 2, "kind": "pretrained"}))
    for checkpoint in (run.parent, run / name):
        words = ["finetune", "--store", store.path, "--checkpoint", checkpoint, "--out", tmp_path / "out"]
        refused(words, mark, capsys)


def test_a_pickle_offered_as_the_state_to_resume_from_is_not_opened(
    mark: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    out = tmp_path / "run"
    words = ["pretrain", "--config", tmp_path / "tiny.yaml", "--store", store.path, "--out", out]
    assert main([str(word) for word in words]) == 0
    capsys.readouterr()
    torch.save(Harm(mark), out / "checkpoints" / "resume.ckpt")
    said = refused([*words, "--resume"], mark, capsys)
    assert "resume.ckpt" in said


@pytest.mark.parametrize(
    "text",
    [
        "masking: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [{mark}]]",
        "seed: !!python/object/apply:os.system ['touch {mark}']",
        "!!python/object/new:os.system ['touch {mark}']",
    ],
)
def test_a_recipe_with_a_python_tag_is_refused(
    text: str, mark: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (recipe := tmp_path / "recipe.yaml").write_text(text.format(mark=mark))
    words = ["--store", store.path, "--out", tmp_path / "run"]
    said = refused(["pretrain", "--config", recipe, *words], mark, capsys)
    assert "recipe.yaml" in said


def test_an_option_with_a_python_tag_is_refused(
    mark: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    value = f"!!python/object/apply:os.system ['touch {mark}']"
    for name in ("--model", "--seed", "--trainer.logger", "--trainer.callbacks"):
        refused(["pretrain", "--store", store.path, "--out", tmp_path / "run", name, value], mark, capsys)


def test_a_run_folder_whose_settings_have_a_python_tag_is_refused(
    mark: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    scores = {"scores": {"r2_voxel": {"value": 0.1, "ci_low": 0.0, "ci_high": 0.2, "n": 9}}}
    runs = [tmp_path / "one", tmp_path / "two"]
    for run in runs:
        run.mkdir()
        (run / "provenance.json").write_text(json.dumps({"stage": "pretrain"}))
        (run / "metrics.json").write_text(json.dumps(scores))
        (run / "config.yaml").write_text(f"seed: !!python/object/apply:os.system ['touch {mark}']")
    said = refused(["report", "--run", *runs, "--out", tmp_path / "report.html"], mark, capsys)
    assert "config.yaml" in said


@pytest.mark.parametrize("key", ["../../outside", "/outside", "..", "a/../../../outside"])
def test_a_store_with_a_scan_outside_itself_is_refused(
    key: str, mark: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "place" / "store"
    shutil.copytree(store.path, path)
    content = json.loads((path / "zarr.json").read_text())
    content["attributes"]["scans"]["scan"][0] = key
    (path / "zarr.json").write_text(json.dumps(content))
    (tmp_path / "tiny.yaml").write_text(TINY)
    words = ["pretrain", "--config", tmp_path / "tiny.yaml", "--store", path, "--out", tmp_path / "run"]
    assert "outside" in refused(words, mark, capsys)
    assert "outside" in refused(["info", path], mark, capsys)


def test_a_store_with_a_link_out_of_itself_is_refused(
    mark: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "place" / "store"
    shutil.copytree(store.path, path)
    key = store.scans["scan"][3]
    shutil.move(path / "scans" / key, tmp_path / "elsewhere")
    (path / "scans" / key).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "tiny.yaml").write_text(TINY)
    words = ["pretrain", "--config", tmp_path / "tiny.yaml", "--store", path, "--out", tmp_path / "run"]
    assert key in refused(words, mark, capsys)


def test_checksums_of_files_outside_a_store_are_not_taken(
    mark: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "store"
    shutil.copytree(store.path, path)
    (tmp_path / "secret").write_text("7")
    with (path / "SHA256SUMS").open("a") as sums:
        sums.write("7902699be42c8a8e46fbbb4501726517e86b22c56a189f7625a6da49081b2451  ../secret\n")
    assert "../secret" in refused(["info", path, "--verify"], mark, capsys)


def slip(path: Path) -> Path:
    """An archive whose member is to be written two folders up."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../harm", "harm")
        archive.writestr("zarr.json", "{}")
    return path


def test_an_archive_is_no_store_cohort_atlas_checkpoint_or_recipe(
    mark: Path, store: Store, pretrained: Pretrained, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    archive = slip(tmp_path / "archive.zip")
    checkpoint = save_pretrained(tmp_path / "best", replace(pretrained, mean=pretrained.mean.copy()))
    out = ["--out", tmp_path / "a" / "b" / "out"]
    for words in (
        ["info", archive],
        ["pretrain", "--store", archive, *out],
        ["pretrain", "--store", store.path, "--config", archive, *out],
        ["prepare", "--source", "athena", "--root", archive, *out],
        ["prepare", "--source", "fmriprep", "--root", archive, *out],
        ["prepare", "--source", "table", "--root", archive, *out],
        ["prepare", "--source", "table", "--root", archive, "--atlas.path", archive, *out],
        ["finetune", "--store", store.path, "--checkpoint", archive, *out],
        ["embed", "--checkpoint", checkpoint, "--scans", archive, "--out", tmp_path / "a" / "b" / "out.tsv"],
        ["report", "--run", archive, "--out", tmp_path / "a" / "b" / "out.html"],
    ):
        refused(words, mark, capsys)


def test_a_download_that_would_write_outside_its_folder_is_refused(tmp_path: Path, mark: Path) -> None:
    """nilearn checks the members of an archive before it writes any."""
    server = tmp_path / "server" / "7781"
    server.mkdir(parents=True)
    with tarfile.open(server / "adhd40_metadata.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("../../../harm")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"harm"))
    with pytest.raises(DataError):
        nilearn.find(tmp_path / "a" / "b", 1, url=f"file://{tmp_path}/server/")
    assert not list(tmp_path.rglob("harm"))


def test_weights_under_names_that_lead_outside_are_weights_all_the_same(
    mark: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    save_file({"../../harm": torch.zeros(1)}, tmp_path / "best.safetensors")
    (tmp_path / "best.json").write_text(json.dumps({"fmrifm_checkpoint": 2, "kind": "pretrained"}))
    words = ["finetune", "--store", store.path, "--checkpoint", tmp_path / "best.safetensors", "--out", tmp_path / "o"]
    refused(words, mark, capsys)
