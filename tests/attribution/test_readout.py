import numpy as np
import pytest
from nilearn.connectome import sym_matrix_to_vec

from fmrifm.attribution.readout import region_readout
from fmrifm.evaluation.probe import fit_head


@pytest.fixture
def matrices() -> tuple[np.ndarray, np.ndarray]:
    """Thirty symmetric 5 x 5 matrices; label 1 raises the edge between 1 and 3."""
    rng, label = np.random.default_rng(0), np.arange(30) % 2
    half = rng.normal(size=(30, 5, 5))
    matrices = half + half.transpose(0, 2, 1)
    matrices[:, 1, 3] += 4 * label
    matrices[:, 3, 1] += 4 * label
    return matrices, label


def edges(matrices: np.ndarray) -> np.ndarray:
    return sym_matrix_to_vec(matrices, discard_diagonal=True)


def test_a_region_gives_what_the_log_odds_lose_when_its_edges_are_at_their_mean(matrices) -> None:
    values, label = matrices
    train, test = values[:20], values[20:]
    found = region_readout(edges(train), label[:20], edges(test), 1.0)
    weight, bias = fit_head(edges(train), label[:20], 1.0)
    for region in range(5):
        silenced = test.copy()
        silenced[:, region], silenced[:, :, region] = train.mean(axis=0)[region], train.mean(axis=0)[:, region]
        whole, without = (edges(part) @ weight[0].numpy() + bias.item() for part in (test, silenced))
        assert found[:, region] == pytest.approx(whole - without, abs=1e-5)


def test_the_two_regions_of_the_planted_edge_tell_the_labels_apart(matrices) -> None:
    values, label = matrices
    found = region_readout(edges(values[:20]), label[:20], edges(values[20:]), 0.1)
    gap = found[label[20:] == 1].mean(axis=0) - found[label[20:] == 0].mean(axis=0)
    assert set(np.argsort(-gap)[:2]) == {1, 3}
