import numpy as np
import pytest
import torch
from scipy.linalg import expm, logm, sqrtm

from fmrifm.model.spd import exp_matrix, inverse_root, log_matrix


@pytest.fixture
def matrices() -> torch.Tensor:
    """Three positive definite matrices of five rows, the last with two equal eigenvalues."""
    generator = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(3, 5, 5, generator=generator, dtype=torch.float64))
    values = torch.tensor([[0.1, 0.5, 1, 2, 9], [0.3, 0.4, 1, 3, 4], [0.2, 1, 1, 2, 3]], dtype=torch.float64)
    return (basis * values[:, None]) @ basis.mT


def test_the_functions_are_those_of_scipy(matrices):
    for matrix, log, root in zip(matrices, log_matrix(matrices), inverse_root(matrices), strict=True):
        assert log.numpy() == pytest.approx(logm(matrix.numpy()), abs=1e-10)
        assert root.numpy() == pytest.approx(np.linalg.inv(sqrtm(matrix.numpy())), abs=1e-10)
    assert exp_matrix(matrices)[0].numpy() == pytest.approx(expm(matrices[0].numpy()), rel=1e-10)


def test_exponential_and_logarithm_are_inverse(matrices):
    assert torch.allclose(exp_matrix(log_matrix(matrices)), matrices, atol=1e-12)


def test_the_gradient_of_the_logarithm_is_that_of_small_differences(matrices):
    assert torch.autograd.gradcheck(log_matrix, matrices.clone().requires_grad_())


@pytest.mark.parametrize("apart", [0.0, 1e-15, 1e-9, 1e-4, 0.019, 0.021])
def test_eigenvalues_near_each_other_have_the_slope_of_the_logarithm_between_them(apart):
    matrix = 2 * torch.diag(1 + apart * torch.arange(3.0, dtype=torch.float64))
    gradient = torch.autograd.functional.jacobian(log_matrix, matrix[None])[0, 0, 1, 0, 0, 1]
    a, b = matrix[0, 0].item(), matrix[1, 1].item()
    expected = (np.log(b) - np.log(a)) / (b - a) if apart > 1e-5 else 1 / a
    assert gradient.item() == pytest.approx(expected / 2, rel=1e-8)  # half, as the other half is at (1, 0)
