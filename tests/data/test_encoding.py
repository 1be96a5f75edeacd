import numpy as np
import pytest

from fmrifm.data.encoding import decode, encode, rounded


@pytest.fixture
def signal() -> np.ndarray:
    """Five volumes of three voxels: one without signal, one small, one large."""
    return np.array([[0, 0.1, -4], [0, -0.2, 2], [0, 0.05, 8], [0, 0, 1], [0, 0.127, -7]], np.float32)


def test_int8_spends_its_levels_on_each_voxels_own_range(signal: np.ndarray) -> None:
    stored, scale = encode(signal, "int8")
    assert stored.dtype == np.int8
    assert np.allclose(scale, [1, 0.2 / 127, 8 / 127])
    assert stored[:, 1].tolist() == [64, -127, 32, 0, 81]
    assert stored[:, 0].tolist() == [0] * 5


def test_float16_needs_no_scale(signal: np.ndarray) -> None:
    stored, scale = encode(signal, "float16")
    assert stored.dtype == np.float16
    assert scale is None
    assert (stored == signal.astype(np.float16)).all()


@pytest.mark.parametrize(("encoding", "share"), [("float16", 2**-11), ("int8", 1 / 253)])
def test_decoding_undoes_encoding_up_to_rounding(encoding: str, share: float) -> None:
    signal = np.random.default_rng(0).normal(size=(40, 7)).astype(np.float32)
    decoded = decode(*encode(signal, encoding))
    assert decoded.dtype == np.float32
    assert (np.abs(decoded - signal) <= share * np.abs(signal).max(axis=0)).all()
    assert not np.array_equal(decoded, signal)


@pytest.mark.parametrize("encoding", ["float16", "int8"])
def test_rounding_gives_the_bits_that_a_store_gives_back(encoding: str) -> None:
    """Halves between two levels, numbers too small for float16 and its largest are in it."""
    signal = np.random.default_rng(0).normal(size=(4000, 7)).astype(np.float32)
    signal[:6, 0] = [1 + 2**-11, 1 + 3 * 2**-11, 2**-25, -(2**-24), 65504, 0]
    given = signal.copy()
    np.testing.assert_array_equal(rounded(signal, encoding).numpy(), decode(*encode(signal, encoding)))
    np.testing.assert_array_equal(signal, given)
