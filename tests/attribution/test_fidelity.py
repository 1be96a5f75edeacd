from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from fmrifm.attribution.fidelity import ScanFidelity, correlation, deal, r2, region_fidelity
from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter
from fmrifm.data.windows import Window, Windows
from fmrifm.masking import hide_regions
from fmrifm.model.draws import draw_tokens
from fmrifm.training.checkpoint import Pretrained, build_model

REGIONS = (3, 41, 95, 128, 170, 255)


def windows_of(tmp_path, pretrained: Pretrained, signal: np.ndarray) -> Windows:
    """A store of one scan of the given signal, shape (T, V)."""
    path = tmp_path / "planted.zarr"
    with StoreWriter(path, grid=pretrained.grid, atlas=pretrained.atlas, settings={}) as writer:
        ones = np.ones(signal.shape[1])
        writer.add({"scan": "one", "subject": "one", "site": "here", "tr_s": 2.0}, signal, ones, ones)
    return Windows(Store(path), ["one"], 8)


def asked(pretrained: Pretrained, windows: Windows, scan: int = 0, groups: int = 6) -> ScanFidelity:
    """Regions of a scan, one at a time by default."""
    batch = Window(*default_collate([windows[place] for place in windows.cover(scan)]))
    return region_fidelity(pretrained.model, batch, groups, np.random.default_rng(0))


def fidelity(pretrained: Pretrained, windows: Windows, scan: int = 0) -> np.ndarray:
    found = asked(pretrained, windows, scan)
    return r2(found.left, found.total)


@pytest.fixture
def beat() -> np.ndarray:
    """A time course whose four volumes repeat in every time patch, shape (16,), unit variance."""
    return np.tile([1.0, -1.0, 1.0, -1.0], 4)


def test_where_all_voxels_beat_as_one_an_untrained_model_explains_three_quarters(tmp_path, pretrained, beat) -> None:
    # Whatever the attention looks at holds the same; the decoder starts by passing half of it on: 1 - (1 - .5)^2.
    windows = windows_of(tmp_path, pretrained, np.repeat(beat[:, None], 100, axis=1))
    assert fidelity(pretrained, windows) == pytest.approx(np.full(6, 0.75), abs=1e-5)


def test_a_region_is_predicted_from_a_neighbour_that_copies_it_and_not_from_noise(tmp_path, pretrained, beat) -> None:
    noise = np.random.default_rng(0).normal(size=(16, 100))
    copies = np.isin(pretrained.atlas.labels, (128, 170))
    scores = fidelity(pretrained, windows_of(tmp_path, pretrained, np.where(copies, beat[:, None], 0.3 * noise)))
    found = dict(zip(REGIONS, scores, strict=True))
    assert min(found[128], found[170]) > 0.1
    assert max(found[value] for value in (3, 41, 95, 255)) < 0.05


@pytest.mark.parametrize("kind", ["regions", "grid"])
def test_squares_are_those_of_a_model_that_does_not_see_the_region(store: Store, pretrained: Pretrained, kind) -> None:
    model = build_model(store.grid, store.atlas, replace(pretrained.tokens, kind=kind), pretrained.sizes).eval()
    windows = Windows(store, ["s08_1"], 8)
    found = asked(replace(pretrained, model=model), windows)
    tokenizer, labels = model.tokenizer, torch.from_numpy(store.atlas.labels)
    expected = np.zeros((6, 2))
    for _, start in windows.cover(0):
        signal = torch.from_numpy(store.window("s08_1", start, 8))[None]
        for region, value in enumerate(REGIONS):
            hidden = hide_regions(tokenizer.pool, [region])[None]
            with torch.no_grad():
                result = model(
                    signal.masked_fill(labels == value, torch.nan), torch.ones(1, 100, dtype=torch.bool),
                    torch.tensor([windows.tr_s[0]]), draw_tokens(hidden, torch.Generator()),
                )  # fmt: skip
            predicted = torch.zeros(1, hidden.shape[1], *result.prediction.shape[2:])
            predicted[0, result.token[0]] = result.prediction[0]
            truth = signal[0, :, labels == value]
            error = tokenizer.join(predicted)[0, :, labels == value] - truth
            expected[region] += [float(error.square().sum()), float(truth.square().sum())]
    assert np.stack([found.left, found.total], axis=1) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("groups", [2, 3])
def test_every_region_is_predicted_once_while_its_group_is_hidden(store: Store, pretrained: Pretrained, groups) -> None:
    windows = Windows(store, ["s08_1"], 8)
    found = asked(pretrained, windows, groups=groups)
    assert found.total == pytest.approx(asked(pretrained, windows).total)
    volumes = len(windows.cover(0)) * 8
    assert found.moments[:, 0].tolist() == [volumes] * 6
    spoilt = store.window("s08_1", 0, 8).copy()
    member = int(np.flatnonzero(found.group == found.group[0])[-1])
    spoilt[:, store.atlas.labels == REGIONS[member]] = 5.0  # what stands in a hidden region does not matter
    batch = Window(*default_collate([windows[0, 0]]))
    first = region_fidelity(pretrained.model, batch, groups, np.random.default_rng(0))
    other = batch._replace(signal=torch.from_numpy(spoilt)[None])
    second = region_fidelity(pretrained.model, other, groups, np.random.default_rng(0))
    if member:
        assert first.left[0] == second.left[0]


def test_groups_are_dealt_evenly_in_voxels_and_anew_each_time(pretrained: Pretrained) -> None:
    pool, rng = pretrained.model.tokenizer.pool, np.random.default_rng(0)
    voxels = pool.counts.sum(dim=1).numpy()
    dealt = [deal(pool, 2, rng) for _ in range(20)]
    sizes = np.array([np.bincount(group, weights=voxels) for group in dealt])
    assert (abs(sizes[:, 0] - sizes[:, 1]) <= voxels.max()).all()
    assert len({tuple(group == group[0]) for group in dealt}) > 3
    assert sorted(deal(pool, 99, rng)) == list(range(6))


def test_the_correlation_is_pearson_s_over_the_volumes_that_moments_sum_up() -> None:
    rng = np.random.default_rng(0)
    p, y = rng.normal(size=(2, 40))
    moments = np.array([40, p.sum(), y.sum(), (p * p).sum(), (y * y).sum(), (p * y).sum()])
    assert correlation(moments) == pytest.approx(np.corrcoef(p, y)[0, 1])
    assert np.isnan(correlation(np.array([4.0, 0.0, 1.0, 0.0, 2.0, 0.0])))


def test_a_copied_region_is_predicted_in_time_too(tmp_path, pretrained: Pretrained, beat) -> None:
    noise = np.random.default_rng(0).normal(size=(16, 100))
    copies = np.isin(pretrained.atlas.labels, (128, 170))
    windows = windows_of(tmp_path, pretrained, np.where(copies, beat[:, None], 0.3 * noise))
    r = dict(zip(REGIONS, correlation(asked(pretrained, windows).moments), strict=True))
    assert min(r[128], r[170]) > 0.9
    assert abs(r[3]) < 0.9


def test_a_scan_without_signal_in_a_region_has_no_figure_there(store: Store, pretrained: Pretrained) -> None:
    windows = Windows(store, ["s00_1", "s01_1"], 8)
    assert np.isnan(fidelity(pretrained, windows, 1)).tolist() == [value == 255 for value in REGIONS]
    assert not np.isnan(fidelity(pretrained, windows, 0)).any()
