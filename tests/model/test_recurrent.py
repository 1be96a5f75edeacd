import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from fmrifm.model.connectivity import ConnectivityPooling
from fmrifm.model.recurrent import Recurrence, RecurrentPooling, there

WIDTH = 6


@pytest.fixture
def features(tokenizer) -> torch.Tensor:
    """Token features of 5 scans with 4 windows of 2 time patches, shape (5, 4, N, W)."""
    tokens = 2 * tokenizer.counts.shape[1]
    return torch.randn(5, 4, tokens, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def pool(tokenizer) -> RecurrentPooling:
    torch.manual_seed(0)
    return RecurrentPooling(tokenizer)


def test_a_recurrence_is_an_lstm_that_can_be_stopped_and_taken_on():
    torch.manual_seed(0)
    ours, frames = Recurrence(3, 4), torch.randn(2, 7, 3)
    theirs = nn.LSTM(3, 4, batch_first=True)
    theirs.load_state_dict({f"{name}_l0": weight for name, weight in ours.cell.state_dict().items()})
    every = torch.ones(2, 7, dtype=torch.bool)
    state = ours.step(frames[:, :5], ours.start(2), every[:, :5])
    state = ours.step(frames[:, 5:], state, every[:, 5:])
    _, (h, c) = theirs(frames)
    torch.testing.assert_close(state, torch.cat([h[0], c[0]], dim=1))
    torch.testing.assert_close(ours.output(state), h[0])


def test_it_starts_out_remembering():
    cell = Recurrence(3, 4).cell
    assert cell.bias_ih[4:8].tolist() == [2.0] * 4  # PyTorch orders gates input, forget, cell, output


def test_a_summary_holds_the_connectome_of_each_window(pool, features, tokenizer):
    found = pool.summarise(features)
    for scan, window in ((0, 0), (4, 3)):
        expected = ConnectivityPooling(tokenizer)(features[scan, window][None, None])
        torch.testing.assert_close(found[scan, window], expected[0])


def test_components_are_whitened_principal_ones_of_the_windows_that_are_there(pool, features):
    summaries = pool.summarise(features)
    rows = summaries.flatten(0, 1).double()
    count = min(16, *rows.shape)
    shorter = torch.cat([summaries, torch.zeros(5, 2, summaries.shape[2])], dim=1)
    pool.fit(shorter)
    found = pool.embed(summaries).flatten(0, 1)
    expected = PCA(count, whiten=True, svd_solver="full").fit_transform(rows.numpy())
    variance = found[:, :count].var(dim=0)
    strong = torch.from_numpy(expected.var(axis=0) > 0.5)
    torch.testing.assert_close(variance[strong], torch.ones(int(strong.sum())), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found[:, :1].abs(), torch.from_numpy(abs(expected[:, :1])).float(), rtol=1e-3, atol=1e-3)
    assert not found[:, count:].any()


def test_a_vector_is_the_last_output_over_components(pool, features):
    summaries = pool.summarise(features)
    pool.fit(summaries)
    cell, edges = pool.recurrence.cell, pool.embed(summaries)
    h = c = torch.zeros(5, pool.size)
    for window in range(4):
        h, c = cell(edges[:, window], (h, c))
    torch.testing.assert_close(pool(features), h)


def test_shorter_scans_pass_what_stands_behind_them(pool, features):
    """Their vector is the one that each has alone."""
    scans = [features[:1], features[1:2, :2], features[2:3, :3]]
    summaries = [pool.summarise(scan) for scan in scans]
    pool.fit(torch.cat(summaries, dim=1))
    together = pool.collect(summaries)
    assert there(together).sum(dim=1).tolist() == [4, 2, 3]
    alone = torch.cat([pool.vectorise(summary) for summary in summaries])
    torch.testing.assert_close(pool.vectorise(together), alone)


def test_the_order_of_windows_matters(pool, features):
    pool.fit(pool.summarise(features))
    assert not torch.allclose(pool(features), pool(features.flip(1)), atol=1e-3)


def test_scans_that_were_not_fitted_change_nothing(pool, features):
    summaries = pool.summarise(features)
    pool.fit(summaries[:3])
    expected = pool.components.clone()
    pool.fit(summaries)
    assert not torch.equal(pool.components, expected)
    pool.fit(summaries[:3])
    assert torch.equal(pool.components, expected)
