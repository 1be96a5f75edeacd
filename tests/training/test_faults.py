import errno

import pytest
from safetensors import SafetensorError

from fmrifm.errors import DataError
from fmrifm.training.faults import TellWhatFits, in_words, no_room


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_known_by_whoever_says_it(code):
    assert no_room(OSError(code, "full"))
    wrapped = RuntimeError("writing failed")
    wrapped.__cause__ = OSError(code, "full")
    assert no_room(wrapped)
    assert no_room(SafetensorError(f"Error while serializing: I/O error: full (os error {code})"))
    assert not no_room(OSError(errno.ENOENT, "absent"))


def test_a_dead_worker_is_said_and_other_errors_pass():
    with pytest.raises(DataError, match=r"data\.workers: a process that reads"), in_words(TellWhatFits()):
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
    with pytest.raises(RuntimeError, match="ours"), in_words(TellWhatFits()):
        raise RuntimeError("ours")
