import os
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree

import nibabel as nib
import nilearn.datasets
import numpy as np
import pytest

from fmrifm.atlas import Atlas, approximate_labels, grow_labels, load_atlas, read_regions, resample_labels
from fmrifm.config import AtlasConfig
from fmrifm.data.grid import mni_grid
from fmrifm.errors import AtlasError

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def brain_mask(shape, affine=AFFINE):
    return nib.Nifti1Image(np.ones(shape, np.uint8), affine)


def label_image(shape, regions, affine=AFFINE, dtype=np.uint8):
    labels = np.zeros(shape, dtype)
    for value, index in regions.items():
        labels[index] = value
    return nib.Nifti1Image(labels, affine)


@pytest.fixture(scope="module")
def mask_4mm():
    grid = mni_grid(4.0)
    return grid.image(np.ones(len(grid.voxels), np.uint8))


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """nilearn with an empty cache and a network that refuses every connection."""
    monkeypatch.setenv("NILEARN_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))  # nilearn looks there too, and finds what others have left
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def test_the_table_has_166_regions_and_aal3_leaves_out_four_values():
    regions = read_regions()
    assert regions.columns.tolist() == ["index", "name", "hemisphere", "system", "x_mm", "y_mm", "z_mm", "volume_mm3"]
    assert sorted(set(range(1, 171)) - set(regions["index"])) == [35, 36, 81, 82]
    assert regions["name"].is_unique
    assert regions["hemisphere"].value_counts().to_dict() == {"L": 78, "R": 78, "M": 10}
    assert (regions.query("hemisphere == 'L'")["x_mm"] < 0).all()
    assert (regions.query("hemisphere == 'R'")["x_mm"] > 0).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_a_grid_equal_to_the_image_keeps_every_label(dtype):
    labels = np.random.default_rng(0).choice([0, 1, 127, 128, 170, 300], size=(5, 6, 7)).astype(dtype)
    found, rescued, lost = resample_labels(nib.Nifti1Image(labels, AFFINE), brain_mask((5, 6, 7)))
    assert found.dtype == np.int32
    assert (found == labels.ravel()).all()
    assert (rescued, lost) == ((), ())


def test_only_brain_voxels_are_labelled_in_c_order_of_the_box():
    labels = np.arange(1, 25, dtype=np.uint8).reshape(2, 3, 4)
    mask = (labels % 5 == 0).astype(np.uint8)
    found, _, _ = resample_labels(nib.Nifti1Image(labels, AFFINE), nib.Nifti1Image(mask, AFFINE))
    assert found.tolist() == [5, 10, 15, 20]


def test_an_image_with_flipped_x_gives_the_same_labels_at_the_same_place():
    labels = np.random.default_rng(1).integers(1, 171, size=(5, 6, 7)).astype(np.uint8)
    flipped = AFFINE.copy()
    flipped[0] = [-2, 0, 0, 8]  # x of voxel i is 8 - 2 i, as in AFFINE for voxel 4 - i
    found, _, _ = resample_labels(nib.Nifti1Image(labels[::-1], flipped), brain_mask((5, 6, 7)))
    assert (found == labels.ravel()).all()


def test_a_coarse_voxel_takes_the_label_of_most_of_its_volume():
    columns = {170: np.s_[0:1, :, :], 3: np.s_[1:4, :, :]}
    coarse = np.diag([8.0, 4.0, 4.0, 1.0])
    coarse[:3, 3] = (3, 1, 1)  # the centre of four by two by two voxels
    found, rescued, _ = resample_labels(label_image((4, 2, 2), columns), brain_mask((1, 1, 1), coarse))
    assert found.tolist() == [3]
    assert rescued == ()


def test_a_voxel_that_is_mostly_unlabelled_stays_so():
    image = label_image((4, 2, 2), {5: np.s_[2:]})
    image.dataobj[0, 0, :] = 5  # a quarter of the first coarse voxel
    coarse = np.diag([4.0, 4.0, 4.0, 1.0])
    coarse[:3, 3] = 1
    found, rescued, _ = resample_labels(image, brain_mask((2, 1, 1), coarse))
    assert found.tolist() == [0, 5]
    assert rescued == ()


def test_two_vanished_regions_get_a_voxel_each_and_spare_the_only_voxel_of_a_third():
    image = label_image(
        (12, 2, 2), {9: np.s_[4:12], 7: np.s_[0:2], 20: np.s_[0, 0, 0], 170: np.s_[0, 1, 1]}, dtype=np.int16
    )
    coarse = np.diag([4.0, 4.0, 4.0, 1.0])
    coarse[:3, 3] = 1
    found, rescued, lost = resample_labels(image, brain_mask((6, 1, 1), coarse))
    assert found[0] == 7  # the only voxel of 7, though 20 and 170 lie in it
    assert sorted(found[found > 0].tolist()) == [7, 9, 9, 9, 9, 20]
    assert rescued == (20,)
    assert lost == (170,)  # the next free voxel is farther than a voxel's diagonal


def test_a_region_outside_the_brain_is_lost_and_named():
    image = label_image((6, 6, 9), {4: np.s_[0, 0, 0], 8: np.s_[5, 5, 8]})
    mask = np.zeros((6, 6, 9), np.uint8)
    mask[:2, :2, :2] = 1
    found, rescued, lost = resample_labels(image, nib.Nifti1Image(mask, AFFINE))
    assert found[0] == 4
    assert (rescued, lost) == ((), (8,))


def test_labels_grow_into_brain_within_reach_and_keep_what_they_have():
    voxels = np.array([[x, 1, 2] for x in (0, 1, 2, 3, 7)])
    labels = np.array([0, 170, 0, 0, 3], dtype=np.int32)
    assert grow_labels(labels, voxels, (4.0, 3.0, 2.0), 4.0).tolist() == [170, 170, 170, 0, 3]
    assert grow_labels(labels, voxels, (4.0, 3.0, 2.0), 0.0).tolist() == labels.tolist()


def test_the_approximation_has_every_region_at_4_mm_and_the_coverage_of_aal3(mask_4mm):
    labels, rescued, lost = approximate_labels(mask_4mm)
    assert labels.dtype == np.int32
    assert set(labels[labels > 0]) == set(read_regions()["index"])
    assert 0.74 < (labels > 0).mean() < 0.78
    assert len(rescued) < 8
    assert lost == ()


def test_the_approximation_says_so_and_survives_json(mask_4mm):
    atlas = load_atlas(AtlasConfig(approximation=True), mask_4mm)
    again = Atlas.from_json(atlas.labels, atlas.to_json())
    assert atlas.name == again.name == "AAL3 approximation"
    assert (again.rescued, again.lost, again.origin) == (atlas.rescued, atlas.lost, atlas.origin)
    assert again.regions.equals(atlas.regions)


def test_real_aal3_keeps_all_166_regions_at_4_mm(mask_4mm):
    if not (data := os.environ.get("FMRIFM_TEST_DATA")):
        pytest.skip("FMRIFM_TEST_DATA is unset: the AAL3 image is not part of the repository")
    atlas = load_atlas(AtlasConfig(path=f"{data}/aal3/AAL3v1_2mm.nii.gz"), mask_4mm)
    grown = grow_labels(atlas.labels, np.argwhere(np.asarray(mask_4mm.dataobj)), (4.0, 4.0, 4.0), 4.0)
    assert atlas.name == "AAL3"
    assert set(atlas.labels[atlas.labels > 0]) == set(atlas.regions["index"])
    assert {133, 134, 167, 168} <= set(atlas.rescued)  # Thal_Re and LC, 1 to 5 voxels of 2 mm
    assert (atlas.labels > 0).mean() == pytest.approx(0.76, abs=0.005)
    assert (grown > 0).mean() == pytest.approx(0.92, abs=0.005)


def test_a_region_that_the_image_lacks_is_lost(tmp_path):
    nib.save(label_image((3, 4, 5), {170: np.s_[1:]}), path := tmp_path / "aal3.nii.gz")
    atlas = load_atlas(AtlasConfig(path=str(path)), brain_mask((3, 4, 5)))
    assert len(atlas.lost) == 165
    assert 170 not in atlas.lost


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (label_image((3, 4, 5), {35: 0, 400: 1}, dtype=np.int16), "values 35, 400 are not in AAL3"),
        (label_image((3, 4, 5), {1.5: 0}, dtype=np.float32), "value 1.5 is no label"),
        (label_image((3, 4, 5, 2), {1: 0}), "expected 3 axes"),
        (label_image((3, 4, 5), {}), "no region lies inside the brain"),
    ],
)
def test_an_image_that_is_not_aal3_is_refused(image, words, tmp_path):
    nib.save(image, path := tmp_path / "image.nii.gz")
    with pytest.raises(AtlasError, match=words):
        load_atlas(AtlasConfig(path=str(path)), brain_mask((3, 4, 5)))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AtlasError, match=r"none\.nii\.gz: cannot be read"):
        load_atlas(AtlasConfig(path=str(tmp_path / "none.nii.gz")), brain_mask((3, 4, 5)))


def test_a_path_and_the_approximation_exclude_each_other():
    with pytest.raises(AtlasError, match="one of the two"):
        load_atlas(AtlasConfig(path="aal3.nii.gz", approximation=True), brain_mask((3, 4, 5)))


def test_offline_the_error_says_what_to_give(offline):
    with pytest.raises(AtlasError, match=r"fetch_atlas_aal.*--atlas\.path.*--atlas\.approximation true"):
        load_atlas(AtlasConfig(), brain_mask((3, 4, 5)))


def write_cache(folder: Path, names, unused=()):
    """What nilearn keeps of its AAL3 download: an image and an XML file of names."""
    (aal3 := folder / "aal_3v2" / "AAL3").mkdir(parents=True)
    labels = np.resize(np.array([0, *sorted(names)], np.uint8), (3, 7, 8))
    nib.save(nib.Nifti1Image(labels, AFFINE), aal3 / "AAL3v1.nii")
    root = ElementTree.Element("data")
    for index, name in (names | dict(unused)).items():
        label = ElementTree.SubElement(root, "label")
        ElementTree.SubElement(label, "index").text = str(index)
        ElementTree.SubElement(label, "name").text = name
    ElementTree.ElementTree(root).write(aal3 / "AAL3v1.xml")


@pytest.mark.filterwarnings(r"ignore:\s*The following regions:UserWarning")
def test_nilearns_values_are_labels_not_positions(offline):
    regions = read_regions()
    # AAL3's list names four values that its image does not use.
    unused = {35: "Cingulate_Ant_L", 36: "Cingulate_Ant_R", 81: "Thalamus_L", 82: "Thalamus_R"}
    write_cache(offline, dict(zip(regions["index"], regions["name"], strict=True)), unused)
    atlas = load_atlas(AtlasConfig(), brain_mask((3, 7, 8)))
    assert atlas.labels[1:167].tolist() == regions["index"].tolist()
    assert "fetch_atlas_aal" in atlas.origin


def test_another_numbering_of_the_regions_is_refused(offline):
    regions = read_regions()
    names = dict(zip(regions["index"], regions["name"], strict=True)) | {170: "Raphe_D", 169: "Raphe_M"}
    write_cache(offline, names)
    with pytest.raises(AtlasError, match=r"2 regions have another name.*169: Raphe_M, expected Raphe_D"):
        load_atlas(AtlasConfig(), brain_mask((3, 4, 5)))


@pytest.fixture
def gin(tmp_path, monkeypatch):
    """AAL3's server on this machine, which nilearn's own download is sent to; an empty cache."""
    folder = tmp_path / "server"
    monkeypatch.setenv("NILEARN_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))  # nilearn looks there too, and finds what others have left
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fetch_files = nilearn.datasets.atlas.fetch_files

        def redirected(data_dir, files, **options):  # nilearn's `url` option fails for AAL3, so only the host changes
            here = f"http://127.0.0.1:{server.server_port}/"
            files = [(file, url.replace("https://www.gin.cnrs.fr/", here), how) for file, url, how in files]
            return fetch_files(data_dir, files, **options)

        monkeypatch.setattr(nilearn.datasets.atlas, "fetch_files", redirected)
        yield folder
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def publish(folder: Path, tmp_path: Path, names) -> Path:
    """Put the archive that AAL3's authors distribute on the server."""
    write_cache(tmp_path / "made", names)
    archive = folder / "wp-content" / "uploads" / "AAL3v2_for_SPM12.tar.gz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "made" / "aal_3v2" / "AAL3", "AAL3")
    return archive


@pytest.mark.filterwarnings(r"ignore:\s*The following regions:UserWarning")
def test_aal3_is_downloaded_once(gin, tmp_path):
    regions = read_regions()
    archive = publish(gin, tmp_path, dict(zip(regions["index"], regions["name"], strict=True)))
    atlas = load_atlas(AtlasConfig(), brain_mask((3, 7, 8)))
    assert atlas.labels[1:167].tolist() == regions["index"].tolist()
    assert (tmp_path / "cache" / "aal_3v2" / "AAL3" / "AAL3v1.nii").exists()
    archive.unlink()
    assert (load_atlas(AtlasConfig(), brain_mask((3, 7, 8))).labels == atlas.labels).all()


@pytest.mark.filterwarnings("ignore:An error occurred while fetching")
@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda _: b"<html>", lambda _: b""])
def test_a_damaged_download_of_aal3_is_told_and_the_next_try_works(gin, tmp_path, damage):
    regions = read_regions()
    archive = publish(gin, tmp_path, dict(zip(regions["index"], regions["name"], strict=True)))
    content = archive.read_bytes()
    archive.write_bytes(damage(content))
    with pytest.raises(AtlasError, match=r"fetch_atlas_aal.*--atlas\.path"):
        load_atlas(AtlasConfig(), brain_mask((3, 7, 8)))
    archive.write_bytes(content)
    assert (load_atlas(AtlasConfig(), brain_mask((3, 7, 8))).labels > 0).sum() == 166


def test_a_server_that_lacks_aal3_is_told(gin):
    gin.mkdir()
    with pytest.raises(AtlasError, match=r"\(HTTPError\).*--atlas\.approximation true"):
        load_atlas(AtlasConfig(), brain_mask((3, 7, 8)))


def test_a_damaged_list_of_names_is_told(offline):
    write_cache(offline, {1: "Precentral_L"})
    xml = offline / "aal_3v2" / "AAL3" / "AAL3v1.xml"
    xml.write_text(xml.read_text()[:20])
    with pytest.raises(AtlasError, match=r"fetch_atlas_aal.*ParseError"):
        load_atlas(AtlasConfig(), brain_mask((3, 4, 5)))
