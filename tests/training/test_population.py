import numpy as np
import torch

from fmrifm.data.windows import Windows
from fmrifm.training.population import fit_population, population_sample


def test_the_sample_holds_every_third_volume_of_evenly_spaced_windows_of_every_scan(pretrained, store):
    windows, tokenizer = Windows(store, ["s01_1", "s02_1"], 8), pretrained.model.tokenizer
    sample = population_sample(windows, tokenizer)
    places = [place for scan in range(2) for place in windows.cover(scan)]
    assert len(sample) == 3 * len(places)
    signal = torch.stack([windows[place].signal for place in places])
    coefficients = tokenizer.project(tokenizer.split(signal)).unflatten(1, (2, -1))  # (B, T, K, M, p)
    assert np.array_equal(sample[1], coefficients[0, 0, ..., 3].numpy())
    assert np.array_equal(sample[2], coefficients[0, 1, ..., 2].numpy())
    assert np.array_equal(sample[-1], coefficients[-1, 1, ..., 2].numpy())


def test_fitting_twice_gives_the_same_prior_to_the_last_bit(pretrained, store):
    windows, prior = Windows(store, ["s01_1", "s02_1"], 8), pretrained.model.prior
    fit_population(pretrained.model, windows, seed=1)
    first = {name: value.clone() for name, value in prior.state_dict().items()}
    assert first["loadings"].any()
    fit_population(pretrained.model, windows, seed=1)
    assert all(torch.equal(first[name], value) for name, value in prior.state_dict().items())
