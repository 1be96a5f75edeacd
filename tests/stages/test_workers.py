import os

import pytest

from fmrifm.errors import ConfigError
from fmrifm.stages.workers import in_parallel


def square(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_item_is_done_once(jobs: int) -> None:
    results = list(in_parallel(square, range(7), jobs=jobs, cluster=None))
    assert sorted(result for result, _ in results) == [0, 1, 4, 9, 16, 25, 36]
    here = {process for _, process in results} == {os.getpid()}
    assert here == (jobs == 1)


def test_a_cluster_that_does_not_answer_is_told() -> None:
    with pytest.raises(ConfigError, match=r"cluster is dask://127\.0\.0\.1:9, where no Dask scheduler answers"):
        list(in_parallel(square, [1], jobs=1, cluster="dask://127.0.0.1:9"))
