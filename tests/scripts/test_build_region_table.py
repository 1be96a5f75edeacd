import json
import os
import runpy
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
script = runpy.run_path(str(ROOT / "scripts" / "build_region_table.py"))


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A label image of 2 x 2 x 3 mm voxels with x flipped, values up to 170, and its table."""
    labels = np.zeros((5, 6, 7), dtype=np.uint8)
    labels[0, 0, 0] = labels[2, 0, 0] = 43
    labels[4, 5, 6] = 170
    nib.save(nib.Nifti1Image(labels, np.diag([-2.0, 2.0, 3.0, 1.0])), tmp_path / "labels.nii.gz")
    table = pd.DataFrame({"index": [43, 170], "name": ["ParaHippocampal_L", "Raphe_M"], "system": ["Limbic", "Stem"]})
    table.to_csv(tmp_path / "labels.tsv", sep="\t", index=False)
    options = {"--image": "labels.nii.gz", "--labels": "labels.tsv", "--out": "out"}
    return [word for option, name in options.items() for word in (option, str(tmp_path / name))]


def test_a_region_has_its_centroid_in_mm_and_its_volume(files, tmp_path):
    script["main"](files)
    table = pd.read_csv(tmp_path / "out" / "regions.tsv", sep="\t").set_index("index")
    assert table.loc[43].tolist() == ["ParaHippocampal_L", "L", "Limbic", -2.0, 0.0, 0.0, 24]
    assert table.loc[170].tolist() == ["Raphe_M", "M", "Stem", -8.0, 10.0, 18.0, 12]


def test_provenance_names_the_image_by_hash_and_no_folder_of_this_machine(files, tmp_path):
    script["main"](files)
    provenance = json.loads((tmp_path / "out" / "atlas.json").read_text())
    assert len(provenance["image_sha256"]) == 64
    assert provenance["voxel_size_mm"] == [2, 2, 3]
    assert str(tmp_path) not in json.dumps(provenance)


@pytest.mark.parametrize(
    ("name", "side"), [("Insula_L", "L"), ("LC_R", "R"), ("Vermis_1_2", "M"), ("Raphe_D", "M"), ("Thal_Re_R", "R")]
)
def test_the_hemisphere_follows_from_the_name(name, side):
    assert script["hemisphere"](name) == side


def test_a_value_without_a_name_is_refused(files):
    image = nib.Nifti1Image(np.full((1, 1, 1), 43, np.uint8), np.eye(4))
    with pytest.raises(ValueError, match=r"\[44\]"):
        script["region_table"](image, pd.DataFrame({"index": [43, 44], "name": ["a_L", "b_L"], "system": ["s", "s"]}))


def test_the_shipped_table_is_what_the_script_makes_of_aal3(tmp_path):
    if not (data := os.environ.get("FMRIFM_TEST_DATA")):
        pytest.skip("FMRIFM_TEST_DATA is unset: the AAL3 image is not part of the repository")
    aal3 = Path(data) / "aal3"
    image, labels = str(aal3 / "AAL3v1_2mm.nii.gz"), str(aal3 / "AAL3v1_regions.tsv")
    script["main"](["--image", image, "--labels", labels, "--out", str(tmp_path)])
    for name in ("regions.tsv", "atlas.json"):
        assert (tmp_path / name).read_text() == (ROOT / "atlases" / "aal3" / name).read_text()
