from dataclasses import replace

import numpy as np
import pytest
import torch

from fmrifm.attribution.fidelity import r2_by_scan, region_fidelity
from fmrifm.data.store import Store
from fmrifm.data.store_writer import StoreWriter
from fmrifm.data.windows import Place, Windows
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


def places_of(windows: Windows, most: int | None = None) -> list[Place]:
    return [place for scan in range(len(windows)) for place in windows.cover(scan, most)]


def fidelity(pretrained: Pretrained, windows: Windows) -> np.ndarray:
    return r2_by_scan(list(region_fidelity(pretrained.model, windows, places_of(windows))), len(windows))


@pytest.fixture
def beat() -> np.ndarray:
    """A time course whose four volumes repeat in every time patch, shape (16,), unit variance."""
    return np.tile([1.0, -1.0, 1.0, -1.0], 4)


def test_where_all_voxels_beat_as_one_an_untrained_model_explains_three_quarters(tmp_path, pretrained, beat) -> None:
    # Whatever the attention looks at holds the same; the decoder starts by passing half of it on: 1 - (1 - .5)^2.
    windows = windows_of(tmp_path, pretrained, np.repeat(beat[:, None], 100, axis=1))
    assert fidelity(pretrained, windows) == pytest.approx(np.full((1, 6), 0.75), abs=1e-5)


def test_a_region_is_predicted_from_a_neighbour_that_copies_it_and_not_from_noise(tmp_path, pretrained, beat) -> None:
    noise = np.random.default_rng(0).normal(size=(16, 100))
    copies = np.isin(pretrained.atlas.labels, (128, 170))
    scores = fidelity(pretrained, windows_of(tmp_path, pretrained, np.where(copies, beat[:, None], 0.3 * noise)))[0]
    found = dict(zip(REGIONS, scores, strict=True))
    assert min(found[128], found[170]) > 0.1
    assert max(found[value] for value in (3, 41, 95, 255)) < 0.05


@pytest.mark.parametrize("kind", ["regions", "grid"])
def test_squares_are_those_of_a_model_that_does_not_see_the_region(store: Store, pretrained: Pretrained, kind) -> None:
    model = build_model(store.grid, store.atlas, replace(pretrained.tokens, kind=kind), pretrained.sizes).eval()
    windows = Windows(store, ["s00_1", "s08_1"], 8)
    places = [(0, 3), (1, 0), (1, 20)]
    ((scan, sums),) = region_fidelity(model, windows, places)
    assert scan.tolist() == [0, 1, 1]
    assert sums.shape == (3, 6, 2)
    tokenizer, labels = model.tokenizer, torch.from_numpy(store.atlas.labels)
    for number, (row, start) in enumerate(places):
        signal = torch.from_numpy(store.window(windows.scans[row], start, 8))[None]
        for region, value in enumerate(REGIONS):
            hidden = hide_regions(tokenizer.pool, [region])[None]
            with torch.no_grad():
                result = model(
                    signal.masked_fill(labels == value, torch.nan), torch.ones(1, 100, dtype=torch.bool),
                    torch.tensor([windows.tr_s[row]]), draw_tokens(hidden, torch.Generator()),
                )  # fmt: skip
            predicted = torch.zeros(1, hidden.shape[1], *result.prediction.shape[2:])
            predicted[0, result.token[0]] = result.prediction[0]
            truth = signal[0, :, labels == value]
            error = tokenizer.join(predicted)[0, :, labels == value] - truth
            expected = [float(error.square().sum()), float(truth.square().sum())]
            assert sums[number, region] == pytest.approx(expected, rel=1e-4)


def test_windows_of_a_scan_are_added_up_before_the_ratio() -> None:
    first = np.array([0, 1]), np.array([[[1.0, 2.0]], [[3.0, 4.0]]])
    second = np.array([1, 1]), np.array([[[1.0, 4.0]], [[0.0, 8.0]]])
    assert r2_by_scan([first, second], scans=2).tolist() == [[0.5], [1 - 4 / 16]]


def test_a_scan_without_signal_in_a_region_has_no_figure_there(store: Store, pretrained: Pretrained) -> None:
    scores = fidelity(pretrained, Windows(store, ["s00_1", "s01_1"], 8))
    assert np.isnan(scores[1]).tolist() == [value == 255 for value in REGIONS]
    assert not np.isnan(scores[0]).any()


def test_more_windows_than_a_batch_are_all_measured_in_order(store: Store, pretrained: Pretrained) -> None:
    windows = Windows(store, ["s00_1", "s02_1", "s03_1", "s04_1", "s05_1"], 8)
    places = places_of(windows)
    parts = list(region_fidelity(pretrained.model, windows, places))
    assert [len(scan) for scan, _ in parts] == [16, 4]
    assert np.concatenate([scan for scan, _ in parts]).tolist() == [scan for scan, _ in places]
    alone = next(region_fidelity(pretrained.model, windows, [places[17]]))[1]
    assert parts[1][1][1] == pytest.approx(alone[0], rel=1e-4)
