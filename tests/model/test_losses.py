import pytest
import torch

from fmrifm.model.losses import masked_mse


def test_only_counted_voxels_enter_and_each_weighs_the_same():
    target = torch.zeros(1, 2, 3, 2)
    prediction = torch.tensor([[[[1.0, 1], [2, 2], [9, 9]], [[3, 3], [9, 9], [9, 9]]]])
    weight = torch.tensor([[[True, True, False], [True, False, False]]])
    assert masked_mse(prediction, target, weight).item() == pytest.approx((1 + 4 + 9) / 3)


def test_shapes_that_disagree_are_refused_with_their_values():
    with pytest.raises(ValueError, match=r"\(1, 2, 3, 4\).*\(1, 2, 3, 5\)"):
        masked_mse(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 5), torch.ones(1, 2, 3, dtype=torch.bool))
