import pytest
import torch

from fmrifm.config import MaskingConfig
from fmrifm.masking import masker_for


def test_each_window_draws_its_strategy_as_often_as_its_weight_says(pool):
    masker = masker_for(pool, MaskingConfig(kind="mix", mix={"random": 1, "tube": 3}))
    mask = masker(400, torch.Generator().manual_seed(0)).unflatten(1, (pool.patches, -1))
    tubes = (mask == mask[:, :1]).all(dim=(1, 2))
    assert tubes.float().mean().item() == pytest.approx(0.75, abs=0.06)


def test_a_mix_tells_the_one_that_learns(pool):
    masker = masker_for(pool, MaskingConfig(kind="mix", mix={"random": 1, "adaptive": 1}))
    regions = len(pool.counts)
    assert masker.learns
    masker.update(torch.arange(1.0, regions + 1), torch.full((regions,), regions))
    assert torch.equal(masker.maskers[1].weight, (torch.arange(1.0, regions + 1) / regions).clamp(min=0.01))
    assert set(masker.state_dict()) == {"maskers.1.squares"}
