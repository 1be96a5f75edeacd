import pytest
import torch

from fmrifm.config import MaskingConfig
from fmrifm.masking import Pool, masker_for
from fmrifm.masking.adaptive import AdaptiveMasker

LEFT, TOTAL = torch.tensor([9.0, 1.0, 2.0, 0.0]), torch.tensor([10.0, 10.0, 10.0, 0.0])


@pytest.fixture
def even() -> Pool:
    """Four regions of one chunk of ten voxels each."""
    counts = 10 * torch.eye(4, dtype=torch.long)
    return Pool(counts=counts, system=torch.arange(4), centre_mm=torch.zeros(4, 3), patches=1)


@pytest.fixture
def masker(even: Pool) -> AdaptiveMasker:
    return AdaptiveMasker(even, 0.25)


def drawn(masker: AdaptiveMasker) -> torch.Tensor:
    """How often each region is the one that is hidden."""
    return masker(20_000, torch.Generator().manual_seed(0)).float().mean(dim=0)


def test_as_long_as_nothing_is_known_all_regions_are_drawn_alike(masker):
    assert masker.weight.tolist() == [1.0] * 4
    assert drawn(masker).tolist() == pytest.approx([0.25] * 4, abs=0.01)


def test_regions_are_drawn_by_their_error_and_an_unknown_one_like_the_average(masker):
    masker.update(LEFT, TOTAL)
    assert masker.weight.tolist() == pytest.approx([0.9, 0.1, 0.2, 0.4])
    assert drawn(masker).tolist() == pytest.approx([0.9 / 1.6, 0.1 / 1.6, 0.2 / 1.6, 0.4 / 1.6], abs=0.01)


def test_what_was_known_fades_and_stays_where_nothing_new_is_seen(masker):
    masker.update(LEFT, TOTAL)
    for _ in range(500):
        masker.update(torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.tensor([10.0, 0.0, 0.0, 0.0]))
    assert masker.weight.tolist()[:3] == pytest.approx([0.1, 0.1, 0.2], rel=0.1)


def test_a_region_predicted_perfectly_is_still_drawn(masker):
    masker.update(torch.tensor([10.0, 0.0, 10.0, 10.0]), torch.full((4,), 10.0))
    assert 0 < drawn(masker)[1] < 0.01


def test_its_state_is_all_that_is_saved_and_gives_the_same_masks(masker, even):
    masker.update(LEFT, TOTAL)
    other = AdaptiveMasker(even, 0.25)
    other.load_state_dict(masker.state_dict())
    assert set(masker.state_dict()) == {"squares"}
    assert torch.equal(*(one(50, torch.Generator().manual_seed(2)) for one in (masker, other)))


@pytest.mark.parametrize("kind", ["random", "tube", "region", "system", "parcels", "future", "mix"])
def test_the_others_learn_nothing_and_keep_nothing(kind, even):
    other = masker_for(even, MaskingConfig(kind=kind))
    other.update(LEFT, TOTAL)
    assert not other.learns
    assert not other.state_dict()
