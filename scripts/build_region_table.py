#!/usr/bin/env python3
"""Make the region table that ships with fmrifm from the AAL3 label image.

    build_region_table.py --image AAL3.nii.gz --labels labels.tsv --out atlases/aal3

The labels table says what each value of the image means: columns index, name, system.
Written are `regions.tsv` (one row per region) and `atlas.json` (where it came from).
"""

import argparse
import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

COLUMNS = ["index", "name", "hemisphere", "system", "x_mm", "y_mm", "z_mm", "volume_mm3"]
PROVENANCE = {
    "name": "AAL3",
    "version": "AAL3v1 (June 2020)",
    "space": "MNI, RAS millimetres",
    "source": "https://www.oxcns.org/aal3.html and https://www.gin.cnrs.fr/en/tools/aal/",
    "licence": (
        "The AAL3 image is distributed free of charge by its authors (earlier releases of AAL name the GNU General "
        "Public License) and is not part of fmrifm; this folder holds names, centroids and volumes alone. "
        "Cite the article when you use it."
    ),
    "citation": (
        "Rolls, E. T., Huang, C.-C., Lin, C.-P., Feng, J. & Joliot, M. (2020). Automated anatomical labelling "
        "atlas 3. NeuroImage 206, 116189. https://doi.org/10.1016/j.neuroimage.2019.116189"
    ),
    "columns": {
        "index": "value of the region in the label image; 1-170 without 35, 36, 81 and 82",
        "hemisphere": "L, R, or M for a region on the midline",
        "system": "group of regions (lobe or structure)",
        "x_mm, y_mm, z_mm": "centroid",
        "volume_mm3": "volume in the label image",
    },
}


def hemisphere(name: str) -> str:
    """Return L or R from the suffix of a region's name, else M: vermis and raphe lie on the midline."""
    midline = name.startswith(("Vermis_", "Raphe_"))
    return "M" if midline or name[-2:] not in ("_L", "_R") else name[-1]


def region_table(image: nib.Nifti1Image, labels: pd.DataFrame) -> pd.DataFrame:
    """Measure every region of a label image.

    Args:
        image: Label image, shape (X, Y, Z), whole numbers, 0 = no region.
        labels: Meaning of each value: columns index, name, system.

    Returns:
        One row a region in the order of `labels`; centroids to 0.1 mm, volumes in mm3.

    Raises:
        ValueError: Image and labels do not name the same values.
    """
    values = np.asarray(image.dataobj).astype(np.int64)
    labelled = np.argwhere(values > 0)
    voxels = pd.DataFrame(nib.affines.apply_affine(image.affine, labelled), columns=["x_mm", "y_mm", "z_mm"])
    groups = voxels.groupby(values[values > 0])
    if unmatched := sorted(set(groups.groups) ^ set(labels["index"])):
        raise ValueError(f"Values {unmatched} stand in the image or in the labels, but not in both.")
    measured = groups.mean().round(1) + 0.0  # + 0.0 turns -0.0 into 0.0
    measured["volume_mm3"] = (groups.size() * abs(np.linalg.det(image.affine[:3, :3]))).round().astype(int)
    table = labels.assign(hemisphere=labels["name"].map(hemisphere)).join(measured, on="index")
    return table[COLUMNS]


def main(argv: list[str] | None = None) -> None:
    """Write regions.tsv and atlas.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, required=True, help="AAL3 label image (NIfTI)")
    parser.add_argument("--labels", type=Path, required=True, help="TSV: index, name, system")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    args = parser.parse_args(argv)

    image = nib.load(args.image)
    table = region_table(image, pd.read_csv(args.labels, sep="\t"))
    args.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.out / "regions.tsv", sep="\t", index=False, lineterminator="\n")
    provenance = PROVENANCE | {
        "regions": len(table),
        "voxel_size_mm": [float(size) for size in image.header.get_zooms()[:3]],
        "image_file": args.image.name,
        "image_sha256": hashlib.sha256(args.image.read_bytes()).hexdigest(),
        "command": (
            f"python scripts/build_region_table.py --image {args.image.name} --labels {args.labels.name} "
            "--out atlases/aal3"
        ),
    }
    (args.out / "atlas.json").write_text(json.dumps(provenance, indent=2) + "\n")
    print(f"{args.out / 'regions.tsv'}: {len(table)} regions")


if __name__ == "__main__":
    main()
