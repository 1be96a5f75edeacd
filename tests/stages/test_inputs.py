"""Uses the cohort and model of tests/conftest.py: 12 subjects, 30 volumes, windows of 8."""

import dataclasses

import numpy as np
import pytest

from fmrifm.errors import DataError
from fmrifm.stages.inputs import labelled, long_enough, same_grid


def test_scans_shorter_than_a_window_are_named_and_if_all_are_it_is_refused(store, capsys):
    assert len(long_enough(store, 30)) == len(store.scans)
    with pytest.raises(DataError, match="no scan has the 31 consecutive volumes of a window"):
        long_enough(store, 31)


def test_every_labelled_scan_comes_with_a_label_of_0_or_1(store, pretrained):
    scans = labelled(store, "dx", pretrained)
    assert set(scans["label"]) == {0, 1}
    assert scans.index.tolist() == list(range(len(scans)))


def test_a_checkpoint_of_another_grid_or_atlas_is_refused_with_both_named(store, pretrained):
    same_grid(pretrained, store)
    moved = dataclasses.replace(pretrained.grid, affine=pretrained.grid.affine + np.eye(4))
    with pytest.raises(DataError, match="Prepare the scans with the same spacing_mm"):
        same_grid(dataclasses.replace(pretrained, grid=moved), store)
    renamed = dataclasses.replace(pretrained.atlas, labels=pretrained.atlas.labels[::-1].copy())
    with pytest.raises(DataError, match="Prepare the scans with the same atlas"):
        same_grid(dataclasses.replace(pretrained, atlas=renamed), store)
