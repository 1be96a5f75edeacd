from functools import partial

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch.utils.data import default_collate

from fmrifm.data.store import Store
from fmrifm.data.windows import Window, Windows
from fmrifm.evaluation.fillin import NearestCopy, PcaFillIn, filled_in
from fmrifm.evaluation.reconstruction import reconstruction_scores
from fmrifm.masking import MASKERS
from fmrifm.model.draws import draw_tokens
from fmrifm.training.checkpoint import Pretrained

SCANS = ["s00_1", "s01_1"]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def batch(store: Store) -> Window:
    windows = Windows(store, SCANS, 8)
    return Window(*default_collate([windows[0, 0], windows[1, 3]]))


def test_the_copy_is_that_of_the_nearest_voxel_in_millimetres() -> None:
    copy = NearestCopy(np.array([[0.0, 0, 0], [9, 0, 0], [0, 4, 0], [8, 1, 0]]))
    volumes = np.array([[1.0, 2, 0, 0], [3, 4, 0, 0]], np.float32)
    assert copy(volumes, np.array([True, True, False, False])).tolist() == [[1, 2], [3, 4]]


def test_where_nothing_is_seen_the_copy_is_the_temporal_mean() -> None:
    volumes = np.full((2, 3), 5.0, np.float32)
    assert not NearestCopy(np.eye(3))(volumes, np.zeros(3, bool)).any()


def test_volumes_of_few_components_are_filled_in_exactly() -> None:
    rng = np.random.default_rng(0)
    volumes = (rng.normal(size=(60, 3)) @ rng.normal(size=(3, 40)) + rng.normal(size=40)).astype(np.float32)
    seen = rng.random(40) < 0.4
    fill_in = PcaFillIn(PCA(5).fit(volumes[:50]), components=3)
    np.testing.assert_allclose(fill_in(volumes[50:], seen), volumes[50:, ~seen], atol=1e-3)


def test_a_rival_sees_the_visible_voxels_that_the_scan_covers_and_nothing_else(
    pretrained: Pretrained, batch: Window
) -> None:
    tokenizer, calls = pretrained.model.tokenizer, []

    def note(volumes: np.ndarray, seen: np.ndarray) -> np.ndarray:
        calls.append((volumes, seen))
        return np.zeros((len(volumes), (~seen).sum()), np.float32)

    covered = batch.covered.clone()
    covered[0, ::2] = False
    hidden = MASKERS["random"](tokenizer.pool, 0.5)(2, generator())
    filled_in(note, tokenizer, batch._replace(covered=covered), hidden, draw_tokens(hidden, generator()))
    assert len(calls) == 2 * tokenizer.patches
    shown = tokenizer.join(
        ((~hidden)[..., None, None] & tokenizer.valid.repeat(2, 1)[..., None]).expand(-1, -1, -1, 4).float()
    )
    for number, (volumes, seen) in enumerate(calls):
        window, patch = divmod(number, tokenizer.patches)
        assert np.array_equal(seen, (shown[window, 4 * patch].bool() & covered[window]).numpy())
        assert not volumes[:, ~seen].any()
        assert np.array_equal(volumes[:, seen], batch.signal[window, 4 * patch : 4 * patch + 4].numpy()[:, seen])


def test_a_rival_that_knows_the_truth_is_scored_one_and_one_that_says_nothing_zero(
    pretrained: Pretrained, store: Store
) -> None:
    windows, tokenizer = Windows(store, SCANS, 8), pretrained.model.tokenizer
    score = partial(
        reconstruction_scores,
        pretrained.model,
        windows,
        MASKERS["region"](tokenizer.pool, 0.5),
        np.array(SCANS),
        seed=0,
    )

    def silent(volumes: np.ndarray, seen: np.ndarray) -> np.ndarray:
        return np.zeros((len(volumes), (~seen).sum()), np.float32)

    scores = score(predict=lambda batch, hidden, drawn: filled_in(silent, tokenizer, batch, hidden, drawn))
    assert [value.value for value in scores.values()] == [0, 0]

    def knowing(batch: Window, hidden: torch.Tensor, drawn: object) -> object:
        found = filled_in(silent, tokenizer, batch, hidden, drawn)
        return found._replace(prediction=found.target)

    assert [value.value for value in score(predict=knowing).values()] == [1, 1]
