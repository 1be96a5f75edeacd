from pathlib import Path

import pandas as pd
import pytest

from fmrifm.training.logs import continued_log


def log(folder: Path, *steps: int, loss: float) -> None:
    pd.DataFrame({"step": steps, "train/loss": loss}).to_csv(folder / "metrics.csv", index=False)


def logged(folder: Path) -> list[tuple[int, float]]:
    assert [file.name for file in folder.iterdir()] == ["metrics.csv"]
    return list(pd.read_csv(folder / "metrics.csv").itertuples(index=False, name=None))


def test_a_first_run_logs_as_ever(tmp_path):
    with continued_log(tmp_path):
        log(tmp_path, 9, 19, loss=1.0)
    assert logged(tmp_path) == [(9, 1.0), (19, 1.0)]


def test_a_resumed_run_goes_on_where_its_checkpoint_was(tmp_path):
    log(tmp_path, 9, 19, 29, loss=1.0)
    with continued_log(tmp_path):
        assert not (tmp_path / "metrics.csv").exists()
        log(tmp_path, 19, 29, 39, loss=0.5)
    assert logged(tmp_path) == [(9, 1.0), (19, 0.5), (29, 0.5), (39, 0.5)]


def test_nothing_is_lost_when_a_resumed_run_is_interrupted_too(tmp_path):
    log(tmp_path, 9, 19, loss=1.0)

    def interrupted() -> None:
        with continued_log(tmp_path):
            log(tmp_path, 19, 29, loss=0.5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with continued_log(tmp_path):
        log(tmp_path, 29, 39, loss=0.25)
    assert logged(tmp_path) == [(9, 1.0), (19, 0.5), (29, 0.25), (39, 0.25)]


def test_a_finished_run_that_has_nothing_left_to_do_keeps_its_log(tmp_path):
    log(tmp_path, 9, 19, loss=1.0)
    with continued_log(tmp_path):
        pass
    assert logged(tmp_path) == [(9, 1.0), (19, 1.0)]
