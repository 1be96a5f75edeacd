"""Models are shared through folders, and through a hub that the tests serve themselves: nothing leaves the machine."""

import base64
import hashlib
import json
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants

import fmrifm
from fmrifm.errors import CheckpointError, ConfigError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """As much of the Hugging Face hub's interface as an upload and a download need."""

    files: dict[str, bytes]

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self.chunks())
        if "/preupload/" in self.path:
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            self.say({"files": [{"path": file["path"], **modes} for file in json.loads(body)["files"]]})
        elif "/commit/" in self.path:
            lines = [json.loads(line) for line in body.splitlines()]
            added = [line["value"] for line in lines if line["key"] == "file"]
            self.files.update({file["path"]: base64.b64decode(file["content"]) for file in added})
            here = f"http://{self.headers['Host']}/someone/model"
            self.say({"success": True, "commitOid": COMMIT, "commitUrl": f"{here}/commit/{COMMIT}"})
        else:
            self.say({"url": f"http://{self.headers['Host']}/someone/model", "errors": [], "warnings": []})

    def chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def do_GET(self) -> None:
        if not self.path.removeprefix("/api/models").startswith("/someone/model"):
            self.send_error(404)
        elif "/tree/" in self.path:
            ids = {name: hashlib.sha1(content).hexdigest() for name, content in self.files.items()}
            self.say([{"type": "file", "path": n, "size": len(self.files[n]), "oid": ids[n]} for n in ids])
        elif "/resolve/" in self.path:
            name = self.path.split(f"/{COMMIT}/")[1]
            self.answer(self.files[name], ETag=f'"{hashlib.sha1(self.files[name]).hexdigest()}"')
        else:
            self.say({"id": "someone/model", "sha": COMMIT, "siblings": [{"rfilename": name} for name in self.files]})

    do_HEAD = do_GET  # noqa: N815

    def say(self, content: Any) -> None:
        self.answer(json.dumps(content).encode(), **{"Content-Type": "application/json"})

    def answer(self, content: bytes, **headers: str) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(content)), "X-Repo-Commit": COMMIT}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """Files of the repository someone/model on a hub of this machine, empty at first."""
    files: dict[str, bytes] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (Hub,), {"files": files}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield files
    server.shutdown()
    thread.join()
    server.server_close()


def weights_of(path: str | Path) -> dict[str, torch.Tensor]:
    return fmrifm.from_pretrained(path).model.state_dict()


def assert_same_model(one: str | Path, two: str | Path) -> None:
    ours, theirs = weights_of(one), weights_of(two)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_what_is_published_is_the_model_and_where_it_came_from(finished_run: Path, tmp_path: Path) -> None:
    folder = fmrifm.publish(finished_run, tmp_path / "model")
    assert {file.name for file in folder.iterdir()} == {
        "README.md", "best.safetensors", "best.json", "provenance.json", "metrics.json", "config.yaml",
    }  # fmt: skip
    assert_same_model(folder, finished_run)
    assert fmrifm.from_pretrained(folder).subjects == fmrifm.from_pretrained(finished_run).subjects


def test_a_model_pushed_to_a_hub_is_the_one_that_comes_back(finished_run: Path, hub: dict[str, bytes]) -> None:
    address = fmrifm.push_to_hub(finished_run, "someone/model", token="hf_test")
    assert "/someone/model/" in address
    assert b"# Masked autoencoder" in hub["README.md"]
    assert_same_model("someone/model", finished_run)


def test_nothing_that_could_be_run_or_unpickled_is_downloaded(
    finished_run: Path, hub: dict[str, bytes], tmp_path: Path
) -> None:
    fmrifm.push_to_hub(finished_run, "someone/model", token="hf_test")
    hub["best.pt"] = pickle.dumps({})
    hub["modeling.py"] = b"raise SystemExit('run')"
    fmrifm.from_pretrained("someone/model")
    kept = {file.suffix for file in (tmp_path / "cache").rglob("snapshots/*/*")}
    assert kept == {".safetensors", ".json"}


def test_a_repository_that_is_not_there_is_named(hub: dict[str, bytes]) -> None:
    with pytest.raises(CheckpointError, match=r"^someone/else: no such file or folder, and not to be had from the"):
        fmrifm.from_pretrained("someone/else")


def test_without_a_connection_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="not to be had from the Hugging Face hub"):
        fmrifm.from_pretrained("someone/model")


def test_an_upload_without_a_connection_says_so(
    finished_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match="someone/model: could not be uploaded"):
        fmrifm.push_to_hub(finished_run, "someone/model", token="hf_test")


@pytest.mark.parametrize("name", ["model", "a/b/c", "a b/c"])
def test_a_name_that_is_none_of_a_repository_is_refused(name: str, finished_run: Path) -> None:
    with pytest.raises(ConfigError, match="expected owner/name"):
        fmrifm.push_to_hub(finished_run, name)


def test_a_folder_on_the_disk_goes_before_the_hub(
    finished_run: Path, hub: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "someone").mkdir()
    fmrifm.publish(finished_run, Path("someone/model"))
    assert_same_model("someone/model", finished_run)
    assert not hub


def test_a_folder_that_exists_and_a_run_that_has_not_ended_are_refused(finished_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exists"):
        fmrifm.publish(finished_run, tmp_path)
    with pytest.raises(CheckpointError, match=r"no provenance.json, expected the folder of a finished run"):
        fmrifm.publish(tmp_path, tmp_path / "model")
    with pytest.raises(CheckpointError, match=f"{tmp_path}: no provenance.json"):
        fmrifm.publish(finished_run, tmp_path / "model", scored=[tmp_path])
    assert not (tmp_path / "model").exists()
