from itertools import combinations

import numpy as np
import pytest
import torch

from fmrifm.config import LossConfig
from fmrifm.model.chunks import cut_chunks
from fmrifm.model.losses import connectivity_mse, masked_mse, reconstruction_loss, region_mse, voxel_mse
from fmrifm.model.mae import Reconstruction
from fmrifm.model.tokens import Tokenizer

COURSE = torch.tensor([1.0, 2.0, 4.0, 3.0])


@pytest.fixture
def four(places_mm) -> Tokenizer:
    """Chunks of one voxel: tokens 0 to 3 in the first time patch, 4 to 7 in the second; two of four volumes each.

    Region 0 holds chunks 0 and 1, regions 1 and 2 one each.
    """
    chunks = cut_chunks(np.array([7, 7, 9, 200]), places_mm[:4], 1)
    return Tokenizer(chunks, window=8, patch=4, voxels=4)


def reconstructed(token: list[list[int]], prediction: torch.Tensor, target: torch.Tensor) -> Reconstruction:
    """Tokens of one voxel that all count; courses of shape (B, Q, 4)."""
    index = torch.tensor(token)
    return Reconstruction(
        prediction[:, :, None], target[:, :, None], torch.ones(*index.shape, 1, dtype=torch.bool), index
    )


@pytest.fixture
def noise(tokenizer) -> Reconstruction:
    """Three windows with seven predicted tokens each of unequal size; junk where nothing counts."""
    generator = torch.Generator().manual_seed(0)
    chunks = len(tokenizer.region)
    token = torch.stack([torch.randperm(2 * chunks, generator=generator)[:7] for _ in range(3)])
    weight = tokenizer.valid[token % chunks] & (torch.rand(3, 7, tokenizer.valid.shape[1], generator=generator) < 0.9)
    prediction, target = torch.randn(2, *weight.shape, tokenizer.patch, generator=generator)
    return Reconstruction(torch.where(weight[..., None], prediction, 1e6), target, weight, token)


def test_only_counted_voxels_enter_and_each_weighs_the_same():
    target = torch.zeros(1, 2, 3, 2)
    prediction = torch.tensor([[[[1.0, 1], [2, 2], [9, 9]], [[3, 3], [9, 9], [9, 9]]]])
    weight = torch.tensor([[[True, True, False], [True, False, False]]])
    assert masked_mse(prediction, target, weight).item() == pytest.approx((1 + 4 + 9) / 3)


def test_shapes_that_disagree_are_refused_with_their_values():
    with pytest.raises(ValueError, match=r"\(1, 2, 3, 4\).*\(1, 2, 3, 5\)"):
        masked_mse(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 5), torch.ones(1, 2, 3, dtype=torch.bool))


def test_a_region_of_two_voxels_weighs_as_much_as_one_of_one(four):
    errors = torch.tensor([[1.0, 3.0, 2.0]])[..., None].expand(-1, -1, 4)  # two voxels of region 0, one of region 2
    result = reconstructed([[0, 5, 7]], errors, torch.zeros(1, 3, 4))
    assert region_mse(result, four).item() == pytest.approx(((1 + 9) / 2 + 4) / 2)
    assert voxel_mse(result, four).item() == pytest.approx((1 + 9 + 4) / 3)


def test_a_region_is_averaged_over_the_windows_of_the_batch_before_regions_are(four):
    errors = torch.tensor([[1.0, 3.0], [5.0, 2.0]])[..., None].expand(-1, -1, 4)
    result = reconstructed([[0, 1], [0, 2]], errors, torch.zeros(2, 2, 4))
    assert region_mse(result, four).item() == pytest.approx(((1 + 9 + 25) / 3 + 4) / 2)


def by_hand(result: Reconstruction, tokenizer: Tokenizer) -> float:
    """Mean squared difference of correlations in plain loops."""
    chunks, differences = len(tokenizer.region), []
    for window in range(len(result.token)):
        courses: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        for patch in range(tokenizer.patches):
            for region in range(tokenizer.regions):
                rows = [
                    (result.prediction[window, place, voxel].numpy(), result.target[window, place, voxel].numpy())
                    for place, number in enumerate(result.token[window].tolist())
                    if number // chunks == patch and tokenizer.region[number % chunks] == region
                    for voxel in torch.nonzero(result.weight[window, place])[:, 0]
                ]
                if rows:
                    courses[region, patch] = tuple(np.mean(side, axis=0) for side in zip(*rows, strict=True))
        for one, other in combinations(range(tokenizer.regions), 2):
            shared = [p for p in range(tokenizer.patches) if (one, p) in courses and (other, p) in courses]
            if shared:
                found, true = (
                    np.corrcoef(
                        *(np.concatenate([courses[region, p][side] for p in shared]) for region in (one, other))
                    )
                    for side in (0, 1)
                )
                differences.append((found[0, 1] - true[0, 1]) ** 2)
    return float(np.mean(differences))


def test_correlations_are_compared_over_the_volumes_that_two_regions_share(tokenizer, noise):
    assert connectivity_mse(noise, tokenizer).item() == pytest.approx(by_hand(noise, tokenizer), rel=1e-3)


def test_a_reconstruction_that_turns_a_correlation_round_loses_four(four):
    target = torch.stack([COURSE, COURSE])[None]
    opposite = torch.stack([COURSE, 5 - 2 * COURSE])[None]  # neither level nor scale matters
    assert connectivity_mse(reconstructed([[0, 2]], opposite, target), four).item() == pytest.approx(4, abs=1e-4)


def test_a_perfect_reconstruction_loses_nothing(tokenizer, noise):
    perfect = noise._replace(prediction=noise.target)
    assert [loss(perfect, tokenizer).item() for loss in (voxel_mse, region_mse, connectivity_mse)] == [0, 0, 0]


def test_regions_that_share_no_time_patch_are_not_compared(four):
    courses = torch.stack([COURSE, -COURSE, COURSE])[None]
    apart = reconstructed([[0, 6, 4]], courses, courses.roll(1, dims=2))  # region 0 early and late, region 1 late
    late = reconstructed([[6, 4]], courses[:, 1:], courses[:, 1:].roll(1, dims=2))
    assert connectivity_mse(apart, four).item() == connectivity_mse(late, four).item()
    never = reconstructed([[0, 6]], courses[:, :2], courses[:, :2].roll(1, dims=2))
    assert connectivity_mse(never, four).item() == 0


def test_two_volumes_tell_no_correlation(places_mm):
    short = Tokenizer(cut_chunks(np.array([7, 9]), places_mm[:2], 1), window=2, patch=2, voxels=2)
    target = torch.tensor([[[1.0, 2.0], [2.0, 1.0]]])
    assert connectivity_mse(reconstructed([[0, 1]], target.flip(1), target), short).item() == 0


def test_a_constant_reconstruction_correlates_at_zero_and_can_leave_it(four):
    constant = torch.full((1, 2, 4), 0.5).requires_grad_()
    course = torch.stack([COURSE, COURSE])[None]
    loss = connectivity_mse(reconstructed([[0, 2]], constant, course), four)
    assert loss.item() == pytest.approx(1, abs=1e-5)
    loss.backward()
    assert constant.grad.isfinite().all()
    varying = torch.stack([COURSE, torch.full((4,), 0.5)])[None].requires_grad_()
    connectivity_mse(reconstructed([[0, 2]], varying, course), four).backward()
    assert varying.grad.isfinite().all()
    assert varying.grad[0, 1].any()


def test_a_pair_with_a_constant_scan_does_not_count(four):
    target = torch.stack([COURSE, torch.full((4,), 0.7), COURSE])[None]
    opposite = torch.stack([COURSE, -COURSE, -COURSE])[None]
    assert connectivity_mse(reconstructed([[0, 2, 3]], opposite, target), four).item() == pytest.approx(4, abs=1e-4)


def test_the_level_of_a_time_course_costs_no_precision(tokenizer, noise):
    shifted = noise._replace(prediction=noise.prediction + 300, target=noise.target + 300)
    expected = connectivity_mse(noise, tokenizer).item()
    assert connectivity_mse(shifted, tokenizer).item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("name", ["voxel", "region", "connectivity"])
def test_every_loss_pulls_on_every_predicted_voxel_and_on_no_other(name, tokenizer, noise):
    prediction = noise.prediction.clone().requires_grad_()
    loss, _ = reconstruction_loss(
        noise._replace(prediction=prediction), tokenizer, LossConfig(**{"voxel": 0.0, name: 1.0})
    )
    loss.backward()
    assert prediction.grad.isfinite().all()
    assert torch.equal(prediction.grad.any(dim=-1), noise.weight)


def test_losses_are_added_up_by_weight_and_a_weight_of_zero_computes_nothing(tokenizer, noise):
    total, parts = reconstruction_loss(noise, tokenizer, LossConfig(voxel=0.5, connectivity=2.0))
    assert list(parts) == ["voxel", "connectivity"]
    voxel, connectivity = voxel_mse(noise, tokenizer), connectivity_mse(noise, tokenizer)
    assert total.item() == pytest.approx(0.5 * voxel.item() + 2 * connectivity.item())
    alone, parts = reconstruction_loss(noise, tokenizer, LossConfig())
    assert torch.equal(alone, voxel)
    assert torch.equal(parts["voxel"], voxel)
