import numpy as np
import pytest
import torch

from fmrifm.data.windows import Windows
from fmrifm.training import population
from fmrifm.training.population import fit_population, population_sample


@pytest.fixture
def windows(store):
    return Windows(store, ["s01_1", "s02_1"], 8)


def test_the_sample_holds_volumes_of_every_scan_and_nothing_outside_the_pool(windows):
    pool = np.arange(len(windows[0, 0].covered)) % 3 > 0
    sample, share = population_sample(windows, pool)
    places = [place for scan in range(2) for place in windows.cover(scan)]
    volumes = torch.cat([windows[place].signal for place in places]).numpy()
    assert np.array_equal(sample, volumes * pool)
    covered = [windows[place].covered.numpy() for place in places]
    assert share == pytest.approx(np.mean(covered, axis=0))
    assert 0 < share.min() < 1  # s01 lacks a region


@pytest.mark.parametrize(("wanted", "volumes"), [(1, [4]), (2, [4, 26]), (6, [2, 6, 18, 22, 24, 28])])
def test_where_memory_is_short_volumes_of_every_part_of_every_scan_are_taken(windows, monkeypatch, wanted, volumes):
    pool = np.ones(len(windows[0, 0].covered), bool)
    monkeypatch.setattr(population, "_VALUES", len(pool) * 2 * wanted)
    scans = [windows.store.window(key) for key in windows.scans]
    sample, _ = population_sample(windows, pool)
    assert np.array_equal(sample, np.concatenate([scan[volumes] for scan in scans]))


def test_fitting_twice_gives_the_same_prior_to_the_last_bit(pretrained, windows):
    prior = pretrained.model.prior
    fit_population(pretrained.model, windows, seed=1)
    first = {name: value.clone() for name, value in prior.state_dict().items()}
    assert first["loadings"].any()
    fit_population(pretrained.model, windows, seed=1)
    assert all(torch.equal(first[name], value) for name, value in prior.state_dict().items())
