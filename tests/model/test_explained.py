import pytest
import torch

from fmrifm.model.chunks import cut_chunks
from fmrifm.model.explained import Squares, squares
from fmrifm.model.mae import Reconstruction
from fmrifm.model.tokens import Tokenizer


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def reconstruction(tokenizer) -> Reconstruction:
    return made_up(tokenizer)


def made_up(tokenizer: Tokenizer) -> Reconstruction:
    """Two windows, five tokens each, drawn differently; some voxels uncovered, junk where nothing counts."""
    chunks = len(tokenizer.region)
    token = torch.stack([torch.randperm(2 * chunks, generator=torch.Generator().manual_seed(s))[:5] for s in (0, 1)])
    weight = tokenizer.valid[token % chunks] & (noise(2, 5, tokenizer.valid.shape[1], seed=2) < 1)
    shape = (*weight.shape, tokenizer.patch)
    prediction, target = noise(*shape, seed=3), noise(*shape, seed=4)
    return Reconstruction(torch.where(weight[..., None], prediction, 1e6), target, weight, token)


def by_hand(reconstruction: Reconstruction, tokenizer: Tokenizer) -> Squares:
    """The same sums in plain loops over voxels."""
    prediction, target, weight, token = reconstruction
    chunks, regions = len(tokenizer.region), tokenizer.regions
    sums = Squares(*(torch.zeros(len(token), regions) for _ in range(4)))
    for window in range(len(token)):
        for region in range(regions):
            for patch in range(tokenizer.patches):
                errors, values = [], []
                for place, number in enumerate(token[window].tolist()):
                    if number // chunks != patch:
                        continue
                    its_own = weight[window, place] & (tokenizer.region_of_place[number % chunks] == region)
                    for voxel in torch.nonzero(its_own)[:, 0]:
                        values.append(target[window, place, voxel])
                        errors.append(prediction[window, place, voxel] - values[-1])
                if not values:
                    continue
                for left, total, parts in (
                    (sums.voxel_left, sums.voxel_total, (torch.stack(errors), torch.stack(values))),
                    (sums.region_left, sums.region_total, (sum(errors) / len(errors), sum(values) / len(values))),
                ):
                    left[window, region] += parts[0].square().sum()
                    total[window, region] += parts[1].square().sum()
    return sums


def test_squares_are_those_of_plain_loops(any_tokenizer):
    reconstruction = made_up(any_tokenizer)
    found = squares(reconstruction, any_tokenizer)
    for name, expected in by_hand(reconstruction, any_tokenizer)._asdict().items():
        assert torch.allclose(getattr(found, name), expected, rtol=1e-5), name


def test_four_voxels_by_hand(places_mm):
    """Chunks of one voxel, patches of one volume; region 7 holds 1 and 3, predicted as 1 and 1; 200 is visible."""
    chunks = cut_chunks(torch.tensor([7, 7, 200, 0]).numpy(), places_mm[:4], 1)
    tokenizer = Tokenizer(chunks, window=2, patch=1, voxels=4)
    found = squares(
        Reconstruction(
            prediction=torch.tensor([1.0, 1.0]).view(1, 2, 1, 1), target=torch.tensor([1.0, 3.0]).view(1, 2, 1, 1),
            weight=torch.ones(1, 2, 1, dtype=torch.bool), token=torch.tensor([[3, 4]]),
        ),
        tokenizer,
    )  # fmt: skip
    assert found.voxel_left.tolist() == [[4, 0]]
    assert found.voxel_total.tolist() == [[10, 0]]
    assert found.region_left.tolist() == [[1, 0]]  # mean 1 against mean 2
    assert found.region_total.tolist() == [[4, 0]]


def test_nothing_is_left_of_a_perfect_prediction_and_everything_of_none(tokenizer, reconstruction):
    perfect = squares(reconstruction._replace(prediction=reconstruction.target), tokenizer)
    assert perfect.voxel_left.sum() == perfect.region_left.sum() == 0
    trivial = squares(reconstruction._replace(prediction=torch.zeros_like(reconstruction.target)), tokenizer)
    assert torch.equal(trivial.voxel_left, trivial.voxel_total)
    assert torch.equal(trivial.region_left, trivial.region_total)


def test_noise_that_averages_out_is_no_error_of_the_region_mean(model, signal):
    """Predicting each region's mean in every voxel explains the means wholly and the voxels in part."""
    tokenizer = model.tokenizer
    region = tokenizer.region_of_voxel
    means = torch.stack([signal[:, :, region == r].mean(dim=2) for r in range(tokenizer.regions)], dim=-1)
    flat = torch.cat([means, means.new_zeros(*means.shape[:2], 1)], dim=-1)[:, :, region]
    target = tokenizer.split(signal)
    token = torch.arange(target.shape[1]).expand(len(target), -1)
    weight = tokenizer.valid.repeat(tokenizer.patches, 1).expand(len(target), -1, -1)
    found = squares(Reconstruction(tokenizer.split(flat), target, weight, token), tokenizer)
    assert torch.allclose(found.region_left, torch.zeros_like(found.region_left), atol=1e-6)
    many_voxels = slice(0, 3)  # the fourth region is a single voxel, its own mean
    assert (found.voxel_left[:, many_voxels] > 0.5 * found.voxel_total[:, many_voxels]).all()
    assert torch.allclose(found.voxel_left[:, 3], torch.zeros(3), atol=1e-6)
