"""One array, one file: uncompressed Zarr arrays, written by zarr and read here at memory speed.

A scan's signal is a single shard of chunks of 24 volumes, what it has per voxel a single chunk. zarr
reads both anywhere; for a file on this machine this module finds the chunks in the shard's index and
reads just the wanted rows, without zarr's event loop and copies (a window of 24 volumes: 0.1 ms,
through zarr 6 ms).

Axes: T volumes, V brain voxels.

References:
    Zarr v3 codec `sharding_indexed` 1.0: an index of (offset, length) per chunk, uint64, then a crc32c.
"""

from pathlib import Path
from typing import Any, cast

import numpy as np
import zarr
from numpy.typing import DTypeLike, NDArray

CHUNK_VOLUMES = 24
"""Volumes in a chunk: a default window is then one or two reads, also over a network."""
_CRC_BYTES = 4


def write_shard(group: zarr.Group, name: str, values_TV: NDArray[Any]) -> None:
    """Write a (T, V) array as one shard."""
    volumes, voxels = values_TV.shape
    chunks = -(-volumes // CHUNK_VOLUMES)
    array = group.create_array(
        name,
        shape=values_TV.shape,
        dtype=values_TV.dtype,
        chunks=(CHUNK_VOLUMES, voxels),
        shards=(chunks * CHUNK_VOLUMES, voxels),
        compressors=None,  # z-scored noise hardly compresses
        config={"write_empty_chunks": True},  # a chunk of zeros has its place, too
    )
    array[...] = values_TV


def write_chunk(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    """Write an array as one chunk."""
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=values.shape,
        compressors=None,
        config={"write_empty_chunks": True},
    )
    array[...] = values


def read_chunk(array: Path, dtype: DTypeLike, length: int) -> NDArray[Any]:
    """Read a (V,) array that `write_chunk` wrote on this machine.

    Raises:
        OSError: The file is missing or has another length.
    """
    values = np.fromfile(file := array / "c" / "0", dtype)
    if len(values) != length:
        raise OSError(f"{file} holds {len(values)} values, expected {length}")
    return values


def read_rows(array: Path, shape: tuple[int, int], dtype: DTypeLike, start: int, stop: int) -> NDArray[Any]:
    """Read consecutive volumes of an array that `write_shard` wrote.

    Args:
        array: Folder of the Zarr array on this machine.
        shape: Its shape, (T, V).
        dtype: Its type.
        start: First volume.
        stop: End of the volumes, at most T.

    Returns:
        Shape (stop - start, V).

    Raises:
        OSError: The file is missing or ends early.
    """
    rows = np.empty((stop - start, shape[1]), dtype)
    row_bytes = rows.itemsize * shape[1]
    with (array / "c" / "0" / "0").open("rb", buffering=0) as file:
        offsets = _chunk_offsets(file, -(-shape[0] // CHUNK_VOLUMES))
        row = start
        while row < stop:
            chunk, first = divmod(row, CHUNK_VOLUMES)
            end = min(stop, (chunk + 1) * CHUNK_VOLUMES)
            file.seek(int(offsets[chunk]) + first * row_bytes)
            wanted = rows[row - start : end - start]
            if file.readinto(memoryview(cast("Any", wanted)).cast("B")) != wanted.nbytes:
                raise OSError(f"{file.name} ends early")
            row = end
    return rows


def _chunk_offsets(file: Any, chunks: int) -> NDArray[np.uint64]:
    size = 16 * chunks
    file.seek(-size - _CRC_BYTES, 2)
    return np.frombuffer(file.read(size), "<u8")[::2]
