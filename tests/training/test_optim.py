import pytest
import torch
from torch import nn

from fmrifm.config import OptimConfig
from fmrifm.training.optim import adamw, warmup_cosine


def test_the_rate_rises_linearly_and_falls_as_half_a_cosine():
    rate = [warmup_cosine(step, steps=20, warmup=0.2) for step in range(21)]
    assert rate[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rate[12] == pytest.approx(0.5)
    assert rate[8] == pytest.approx(0.5 * (1 + 2**-0.5))
    assert rate[20] == pytest.approx(0.0)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.1), (2, 0.99), (3, 0.0)])
def test_very_short_runs_have_a_rate_too(steps, warmup):
    rate = [warmup_cosine(step, steps=steps, warmup=warmup) for step in range(steps)]
    assert all(0 < value <= 1 for value in rate)


def test_only_matrices_decay_and_only_what_is_trained_is_optimised():
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.Linear(2, 1))
    model[2].requires_grad_(False)
    config = OptimConfig(lr=0.5, weight_decay=0.3)
    optimizer = adamw(model, config, steps=10)["optimizer"]
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay == {id(model[0].weight): 0.3, id(model[0].bias): 0.0, id(model[1].weight): 0.0, id(model[1].bias): 0.0}


def test_the_schedule_steps_with_the_batches():
    model = nn.Linear(3, 2)
    made = adamw(model, OptimConfig(lr=0.5, warmup=0.4), steps=10)
    schedule = made["lr_scheduler"]["scheduler"]
    assert made["lr_scheduler"]["interval"] == "step"
    rates = []
    for _ in range(5):
        rates.append(made["optimizer"].param_groups[0]["lr"])
        model(torch.ones(3)).sum().backward()
        made["optimizer"].step()
        schedule.step()
    assert rates == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5])
