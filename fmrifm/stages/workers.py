"""Do one thing for many items, side by side: processes of this machine, or workers of a Dask cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from joblib import Parallel, delayed, parallel_config

from fmrifm.errors import ConfigError

Item = TypeVar("Item")
Result = TypeVar("Result")

_SCHEME = "dask://"


def in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], *, jobs: int, cluster: str | None
) -> Iterator[Result]:
    """Call a function for each item; results come as they are ready, in any order.

    Args:
        function: What to do; it and its results travel between processes.
        items: What to do it for.
        jobs: Processes of this machine.
        cluster: Address of a Dask scheduler, dask://HOST:PORT, whose workers do it instead.

    Raises:
        ConfigError: The cluster cannot be reached, or Dask is not installed.
    """
    with _backend(cluster):
        calls = (delayed(function)(item) for item in items)
        yield from Parallel(n_jobs=-1 if cluster else jobs, return_as="generator_unordered")(calls)


@contextmanager
def _backend(cluster: str | None) -> Iterator[None]:
    if cluster is None:
        yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError("cluster needs Dask, which is not installed. Run `pip install fmrifm[cluster]`.") from None
    try:
        client = Client(f"tcp://{cluster.removeprefix(_SCHEME)}", timeout="10s")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cluster is {cluster}, where no Dask scheduler answers ({error}). Start one, or use --jobs."
        ) from None
    with client, parallel_config(backend="dask"):
        yield
