import numpy as np
import torch

from fmrifm.data.windows import Windows
from fmrifm.training import population
from fmrifm.training.population import fit_population, population_sample


def test_the_sample_holds_volumes_of_every_scan_as_the_encoder_sees_them(pretrained, store):
    windows, tokenizer = Windows(store, ["s01_1", "s02_1"], 8), pretrained.model.tokenizer
    sample = population_sample(windows, tokenizer)
    places = [place for scan in range(2) for place in windows.cover(scan)]
    signal = torch.stack([windows[place].signal for place in places])
    coefficients = tokenizer.project(tokenizer.split(signal)).unflatten(1, (2, -1))  # (B, T, K, M, p)
    assert sample.shape == (8 * len(places), *coefficients.shape[2:4])
    assert np.array_equal(sample[3], coefficients[0, 0, ..., 3].numpy())
    assert np.array_equal(sample[-2], coefficients[-1, 1, ..., 2].numpy())


def test_where_memory_is_short_fewer_volumes_of_every_scan_are_taken(pretrained, store, monkeypatch):
    windows, tokenizer = Windows(store, ["s01_1", "s02_1"], 8), pretrained.model.tokenizer
    whole = population_sample(windows, tokenizer)
    monkeypatch.setattr(population, "_VALUES", whole[0].size * 4)
    assert np.array_equal(population_sample(windows, tokenizer), whole[[0, 4, len(whole) // 2, len(whole) // 2 + 4]])


def test_fitting_twice_gives_the_same_prior_to_the_last_bit(pretrained, store):
    windows, prior = Windows(store, ["s01_1", "s02_1"], 8), pretrained.model.prior
    fit_population(pretrained.model, windows, seed=1)
    first = {name: value.clone() for name, value in prior.state_dict().items()}
    assert first["loadings"].any()
    fit_population(pretrained.model, windows, seed=1)
    assert all(torch.equal(first[name], value) for name, value in prior.state_dict().items())
