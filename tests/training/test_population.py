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
    sample = population_sample(windows, pool)
    places = [place for scan in range(2) for place in windows.cover(scan)]
    volumes = torch.cat([windows[place].signal for place in places]).numpy()
    assert np.array_equal(sample, volumes * pool)


def test_where_memory_is_short_fewer_volumes_of_every_scan_are_taken(windows, monkeypatch):
    pool = np.ones(len(windows[0, 0].covered), bool)
    whole = population_sample(windows, pool)
    monkeypatch.setattr(population, "_VALUES", len(pool) * 4)
    half = len(whole) // 2
    assert np.array_equal(population_sample(windows, pool), whole[[0, 4, half, half + 4]])


def test_fitting_twice_gives_the_same_prior_to_the_last_bit(pretrained, windows):
    prior = pretrained.model.prior
    fit_population(pretrained.model, windows, seed=1)
    first = {name: value.clone() for name, value in prior.state_dict().items()}
    assert first["loadings"].any()
    fit_population(pretrained.model, windows, seed=1)
    assert all(torch.equal(first[name], value) for name, value in prior.state_dict().items())
