import numpy as np
import pytest

from fmrifm.attribution.ledger import Ledger
from fmrifm.errors import ConfigError


def test_what_was_computed_once_is_not_computed_again(tmp_path) -> None:
    ledger, calls = Ledger(tmp_path), []

    def compute() -> dict[str, np.ndarray]:
        calls.append(1)
        return {"a": np.arange(3.0), "b": np.array([[np.nan, 1]])}

    first, second = (
        ledger.get("occlusion", "s01_run-1", compute),
        Ledger(tmp_path).get("occlusion", "s01_run-1", compute),
    )
    assert len(calls) == 1
    assert first["a"].tolist() == second["a"].tolist() == [0, 1, 2]
    assert np.array_equal(first["b"], second["b"], equal_nan=True)
    ledger.get("occlusion", "s02_run-1", compute)
    ledger.get("rollout", "s01_run-1", compute)
    assert len(calls) == 3


def test_a_computation_that_breaks_leaves_nothing_that_looks_finished(tmp_path) -> None:
    def breaks() -> dict[str, np.ndarray]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Ledger(tmp_path).get("occlusion", "one", breaks)
    found = Ledger(tmp_path).get("occlusion", "one", lambda: {"a": np.ones(1)})
    assert found["a"].tolist() == [1]


def test_what_rests_on_another_source_is_not_gone_on_with(tmp_path) -> None:
    Ledger(tmp_path / "computed").check_source(store="a", checkpoint="b")
    Ledger(tmp_path / "computed").check_source(store="a", checkpoint="b")
    with pytest.raises(ConfigError, match="another checkpoint"):
        Ledger(tmp_path / "computed").check_source(store="a", checkpoint="c")
