import gzip
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets.func import adhd_ids

from fmrifm.data.sources import nilearn
from fmrifm.errors import DataError

PHENOTYPES = (  # the columns that the real table has, in another order of subjects
    ",Subject,MeanFD,site,age,sex,handedness,full_2_iq,full_4_iq,tdc,adhd,adhd_inattentive,adhd_combined,notes\n"
    "1,10064,0.21,NYU,8.5,F,0.6,97,,0,1,1,0,\n"
    "2,21019,0.1,Peking,14,M,n/a,,109,1,0,,,left early\n"
    "3,10042,0.32,OHSU,10.25,M,1,,122,0,1,0,1,-999\n"
)
NOWHERE = "http://127.0.0.1:9/"
"""A port at which nothing answers."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def tgz(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What NITRC has for nilearn: a table, and an archive for each of the first four children."""
    folder = tmp_path / "server"
    tgz(
        folder / "7781" / "adhd40_metadata.tgz",
        {"ADHD200_40subs_motion_parameters_and_phenotypics.csv": PHENOTYPES.encode()},
    )
    for number, subject in enumerate(adhd_ids()[:4]):
        image = nib.Nifti1Image(np.full((2, 3, 4, 5 + number), number, np.int16), np.diag([3.0, 3.0, 3.0, 1.0]))
        files = {
            f"data/{subject}/{subject}_rest_tshift_RPI_voreg_mni.nii.gz": gzip.compress(image.to_bytes()),
            f"data/{subject}/{subject}_regressors.csv": b"csf,motion-pitch\n0.5,0.25\n",
        }
        tgz(folder / str(7782 + number) / f"adhd40_{subject}.tgz", files)
    return folder


@pytest.fixture
def url(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A local server of that folder."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_children_are_downloaded_with_confounds_and_labels_into_a_new_folder(url: str, tmp_path: Path) -> None:
    root = tmp_path / "new folder" / "below"
    one, two = nilearn.find(root, 2, url=url).records
    assert one.path == root / "adhd" / "data" / "0010042" / "0010042_rest_tshift_RPI_voreg_mni.nii.gz"
    assert one.confounds == one.path.with_name("0010042_regressors.csv")
    assert one.confounds.read_text().startswith("csf")
    assert (one.key, one.site, one.tr_s, one.sidecar_tr_s) == ("0010042_ses-1_run-1", "OHSU", None, None)
    assert dict(one.columns) == {
        "dx": 1, "dx_subtype": 1, "age": 10.25, "sex": "M", "handedness": 1, "iq": 122, "mean_fd": 0.32, "tdc": 0,
        "full_2_iq": None, "full_4_iq": 122, "adhd_inattentive": 0, "adhd_combined": 1, "notes": None,
    }  # fmt: skip
    assert (two.subject, two.site, two.columns["dx_subtype"], two.columns["iq"]) == ("0010064", "NYU", 3, 97)


def test_a_child_that_the_table_lacks_is_refused(url: str, tmp_path: Path) -> None:
    found = nilearn.find(tmp_path / "root", 4, url=url)
    assert [record.subject for record in found.records] == ["0010042", "0010064", "0021019"]
    [(path, reason)] = found.refused
    assert path.parent.name == "0010128"
    assert reason == "id 0010128 is not in the phenotypic table that came with it"


def test_controls_have_subtype_0_and_a_note_stays(url: str, tmp_path: Path) -> None:
    control = nilearn.find(tmp_path / "root", 4, url=url).records[2]
    assert (control.site, control.columns["dx"], control.columns["dx_subtype"]) == ("Peking", 0, 0)
    assert (control.columns["notes"], control.columns["handedness"]) == ("left early", None)


def test_what_is_there_needs_no_connection(url: str, tmp_path: Path) -> None:
    first = nilearn.find(tmp_path / "root", 2, url=url)
    again = nilearn.find(tmp_path / "root", 2, url=NOWHERE)
    assert again.records == first.records
    assert nib.load(again.records[1].path).shape == (2, 3, 4, 6)


def test_offline_one_sentence_says_what_was_tried_and_what_to_do(url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        nilearn.find(tmp_path / "root", 2, url=NOWHERE)
    assert str(caught.value) == (
        f"{tmp_path / 'root'}: 2 children of ADHD-200 are not all here, and fetching them with "
        f"nilearn.datasets.fetch_adhd from {NOWHERE} failed (no connection). Run it again where that address can be "
        "reached, or copy the folder `adhd` of a machine that has them into --root."
    )


def test_a_server_without_the_file_is_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"5 children of ADHD-200 .* \(the server answered 404\)"):
        nilearn.find(tmp_path / "root", 5, url=url)


@pytest.mark.parametrize(
    "damage", [lambda content: content[: len(content) // 2], lambda _: b"<html>log in first</html>", lambda _: b""]
)
@pytest.mark.parametrize("name", ["7781/adhd40_metadata.tgz", "7782/adhd40_0010042.tgz"])
def test_a_damaged_archive_is_told_and_the_next_try_works(name, damage, url: str, folder: Path, tmp_path: Path) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(damage(content))
    with pytest.raises(DataError, match="1 children of ADHD-200 are not all here"):
        nilearn.find(tmp_path / "root", 1, url=url)
    (folder / name).write_bytes(content)
    assert len(nilearn.find(tmp_path / "root", 1, url=url).records) == 1


def test_a_path_that_nilearn_would_cut_in_two_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Choose another --root"):
        nilearn.find(tmp_path / "a:b", 1, url=NOWHERE)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"failed \(OSError: Nilearn tried to store .*Not a directory"):
        nilearn.find(tmp_path / "file" / "root", 1, url=NOWHERE)


def test_all_forty_are_asked_for_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def fetch(n_subjects: int, **_: object) -> None:
        asked.append(n_subjects)
        raise OSError("enough")

    monkeypatch.setattr(nilearn, "fetch_adhd", fetch)
    for n_subjects in (None, 7, 1000):
        with pytest.raises(DataError, match=r"OSError: enough"):
            nilearn.find(tmp_path, n_subjects)
    assert asked == [40, 7, 40]
    assert len(adhd_ids()) == nilearn.CHILDREN
