from pathlib import Path

import numpy as np
import pytest
import zarr

from fmrifm.data.shards import read_chunk, read_rows, write_chunk, write_shard


@pytest.mark.parametrize("volumes", [1, 23, 24, 25, 61])
def test_any_rows_are_those_that_were_written(tmp_path: Path, volumes: int) -> None:
    values = np.arange(volumes * 7, dtype=np.int16).reshape(volumes, 7)
    values[:24] = 0  # zarr would leave a chunk of zeros out
    group = zarr.open_group(tmp_path, mode="w", zarr_format=3)
    write_shard(group, "a", values)
    assert len([path for path in (tmp_path / "a").rglob("*") if path.is_file()]) == 2
    for start in range(volumes):
        for stop in range(start + 1, volumes + 1):
            assert (read_rows(tmp_path / "a", (volumes, 7), np.int16, start, stop) == values[start:stop]).all()
    assert (group["a"][...] == values).all()


def test_a_cut_file_is_told(tmp_path: Path) -> None:
    write_shard(zarr.open_group(tmp_path, mode="w", zarr_format=3), "a", np.ones((30, 7), np.float16))
    file = tmp_path / "a" / "c" / "0" / "0"
    content = file.read_bytes()
    index = content[-36:]
    file.write_bytes(content[:-36][:340] + index)
    with pytest.raises(OSError, match="ends early"):
        read_rows(tmp_path / "a", (30, 7), np.float16, 24, 30)


def test_a_chunk_is_read_whole_or_refused(tmp_path: Path) -> None:
    write_chunk(zarr.open_group(tmp_path, mode="w", zarr_format=3), "a", np.arange(5, dtype=np.float32))
    assert read_chunk(tmp_path / "a", np.float32, 5).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="holds 5 values, expected 6"):
        read_chunk(tmp_path / "a", np.float32, 6)
