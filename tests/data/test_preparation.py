import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fmrifm.atlas import Atlas
from fmrifm.config import CleaningConfig
from fmrifm.data.grid import Grid
from fmrifm.data.journal import Journal, source_state
from fmrifm.data.limits import Limits
from fmrifm.data.preparation import Preparation
from fmrifm.data.scan import ScanRecord
from fmrifm.data.scan_writer import ScanWriter
from fmrifm.errors import DataError


@pytest.fixture
def preparation(tmp_path: Path, grid: Grid, atlas: Atlas) -> Preparation:
    journal = Journal(tmp_path / "journal")
    journal.begin({})
    writer = ScanWriter(tmp_path / "store", journal, "float16")
    return Preparation(grid, atlas.labels, CleaningConfig(), Limits(), tmp_path, writer)


def test_a_good_scan_is_written_with_its_row(preparation: Preparation, bold_path: Path, grid: Grid) -> None:
    data = np.asarray(nib.load(bold_path).dataobj)
    data[:, 3] = 0  # all of region 170, half of 255
    image = nib.Nifti1Image(data, grid.affine)
    image.header.set_zooms((2, 2, 2, 1.5))
    image.to_filename(bold_path)
    preparation(ScanRecord(path=bold_path, subject="s 1", columns={"dx": 1}))
    [(key, entry)] = preparation.writer.journal.entries().items()
    row = entry.row or {}
    assert key == row["scan"] == "s-1_ses-1_run-1"
    assert (row["path"], row["dx"], row["tr_s"], row["segments"]) == (bold_path.name, 1, 1.5, [20])
    assert row["coverage"] == 0.8
    assert row["region_coverage"] == [100, 100, 100, 100, 0, 50]
    assert row["uncovered_regions"] == [170]
    assert row["spectrum"] == "unfiltered"
    assert entry.source == source_state(ScanRecord(path=bold_path, subject="s 1", columns={"dx": 1}))


def test_a_bad_scan_is_noted_with_its_reason(preparation: Preparation, tmp_path: Path) -> None:
    (path := tmp_path / "bad.nii").write_text("no image")
    preparation(ScanRecord(path=path, subject="s1"))
    [entry] = preparation.writer.journal.entries().values()
    assert entry.row is None
    assert entry.refused is not None
    assert "bad.nii: cannot be read as NIfTI" in entry.refused
    assert json.dumps(entry.refused)


def test_a_process_that_prepares_scans_does_not_load_pytorch() -> None:
    code = (
        "import sys, fmrifm.data.preparation; print([m for m in ('torch', 'lightning', 'monai') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_every_column_that_a_row_gains_is_known_as_ours(preparation: Preparation, bold_path: Path, grid: Grid) -> None:
    image = nib.load(bold_path)
    moved = nib.Nifti1Image(np.asarray(image.dataobj), grid.affine, image.header)
    moved.to_filename(bold_path)
    record = ScanRecord(path=bold_path, subject="s1")
    preparation(record)
    [entry] = preparation.writer.journal.entries().values()
    gained = (entry.row or {}).keys() - record.row(bold_path.parent).keys()
    with pytest.raises(DataError, match="which fmrifm writes itself") as caught:
        preparation.check_names([ScanRecord(path=bold_path, subject="s1", columns=dict.fromkeys(gained, 1))])
    assert all(name in str(caught.value) for name in gained)
