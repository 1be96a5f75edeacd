import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fmrifm.data.store import Store
from fmrifm.training.sharding import whole_tensor

TINY = """
tokens: {window_volumes: 8, patch_volumes: 4, edge_voxels: 2, grow_mm: 0}
model: {width: 24, layers: 2, heads: 2, queries: 8}
optim: {batch_size: 4}
data: {windows_per_scan: 1}
trainer: {accelerator: cpu, enable_progress_bar: false, log_every_n_steps: 1}
"""


def test_a_tensor_that_is_whole_stays_as_it_is():
    assert whole_tensor(tensor := torch.ones(3)) is tensor


@pytest.mark.slow
@pytest.mark.parametrize(("ways", "objective"), [(("auto", "fsdp"), "mask"), (("fsdp", "auto"), "mask+next")])
def test_a_run_goes_on_under_another_strategy(
    ways: tuple[str, str], objective: str, store: Store, tmp_path: Path
) -> None:
    """The last state of the first way is taken away: the second starts from the one before."""
    (recipe := tmp_path / "tiny.yaml").write_text(TINY)
    words = ["pretrain", "--config", str(recipe), "--store", str(store.path), "--trainer.max_epochs", "4"]
    words += ["--objective", objective]
    train([*words, "--out", str(tmp_path / "one")])
    words += ["--out", str(tmp_path / "two"), "--trainer.devices", "2", "--trainer.strategy"]
    train([*words, ways[0]])
    (tmp_path / "two" / "checkpoints" / "resume.ckpt").unlink()
    train([*words, ways[1], "--resume"])
    one, two = (load_file(tmp_path / run / "checkpoints" / "last.safetensors") for run in ("one", "two"))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=1e-5, rtol=0, msg=name)


def train(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "fmrifm", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
