import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fmrifm.data.confounds import read_confounds
from fmrifm.data.scan import ScanRecord
from fmrifm.errors import DataError


def record(folder: Path, table: pd.DataFrame, name: str = "regressors.csv") -> ScanRecord:
    """A run with a table beside it; no image is read."""
    table.to_csv(path := folder / name, index=False, sep="\t" if name.endswith(".tsv") else ",")
    return ScanRecord(path=folder / "run.nii.gz", subject="1", confounds=path)


@pytest.fixture
def adhd_table() -> pd.DataFrame:
    """Columns as in nilearn's ADHD set."""
    names = ["csf", "constant", "linearTrend", "wm", "global", "motion-pitch", "motion-roll", "gm", "compcor1"]
    return pd.DataFrame(np.arange(54.0).reshape(6, 9), columns=names)


def test_without_a_table_every_volume_is_kept(tmp_path: Path) -> None:
    confounds = read_confounds(ScanRecord(path=tmp_path / "run.nii", subject="1"), (), 5)
    assert confounds.kept.tolist() == [True] * 5
    assert confounds.regressors is None
    with pytest.raises(DataError, match=r"run\.nii: no confound table beside it, expected one for .* motion\. Use"):
        read_confounds(ScanRecord(path=tmp_path / "run.nii", subject="1"), ("motion",), 5)


def test_columns_of_any_table_are_found_by_how_they_begin(tmp_path: Path, adhd_table: pd.DataFrame) -> None:
    found = read_confounds(record(tmp_path, adhd_table), ("motion", "wm_csf", "global_signal"), 6).regressors
    assert found is not None
    assert list(found) == ["motion-pitch", "motion-roll", "csf", "wm", "global"]
    assert found["wm"].tolist() == adhd_table["wm"].tolist()


def test_a_strategy_without_columns_names_those_that_are_there(tmp_path: Path, adhd_table: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"no column for cleaning\.confounds scrub; columns csf, constant, .*compcor1"):
        read_confounds(record(tmp_path, adhd_table), ("scrub",), 6)


def test_cells_that_are_no_numbers_are_refused(tmp_path: Path, adhd_table: pd.DataFrame) -> None:
    broken = adhd_table.astype(object)
    broken.loc[2, "wm"] = "lots"
    with pytest.raises(DataError, match="wm hold cells that are no numbers"):
        read_confounds(record(tmp_path, broken), ("wm_csf",), 6)


def test_a_table_of_another_length_is_refused(tmp_path: Path, adhd_table: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"regressors\.csv: 6 rows, expected one for each of 7 volumes of run"):
        read_confounds(record(tmp_path, adhd_table), (), 7)


def test_a_table_that_has_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.tsv: cannot be read"):
        read_confounds(ScanRecord(path=tmp_path / "r.nii", subject="1", confounds=tmp_path / "absent.tsv"), (), 5)


REAL = {
    # table: (unsteady volumes, motion columns, what compcor answers)
    "test_desc-confounds_regressors.tsv": (1, 24, None),
    "test-v21_desc-confounds_timeseries.tsv": (3, 24, None),
    "no_nonsteady_desc-confounds_regressors.tsv": (0, 24, "compcor"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_fmriprep_tables_give_what_they_hold(test_data: Path, tmp_path: Path, name: str) -> None:
    for file in (test_data / "fmriprep_confounds").iterdir():
        if file.name.split("_desc")[0] == name.split("_desc")[0]:
            shutil.copy(file, tmp_path / f"sub-1_task-rest_{file.name[file.name.index('desc-') :]}")
    path = tmp_path / "sub-1_task-rest_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
    confounds = tmp_path / f"sub-1_task-rest_{name[name.index('desc-') :]}"
    n_unsteady, n_motion, fault = REAL[name]
    scan = ScanRecord(path=path, subject="1", confounds=confounds)
    steady = read_confounds(scan, (), 30)
    assert (~steady.steady).sum() == n_unsteady
    motion = read_confounds(scan, ("motion",), 30)
    assert motion.regressors is not None
    assert motion.regressors.shape == (30, n_motion)
    assert (motion.kept == steady.steady).all()
    if fault is None:
        assert read_confounds(scan, ("motion", "high_pass", "compcor"), 30).regressors is not None
    else:
        with pytest.raises(DataError, match="cannot be cleaned as asked"):
            read_confounds(scan, ("motion", "high_pass", "compcor"), 30)
