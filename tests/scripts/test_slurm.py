import os
import subprocess
from pathlib import Path

from fmrifm.resources import resource

ECHO = "#!/bin/sh\necho $(basename $0) $@\n"


def run(script: str, folder: Path, *words: str, **variables: str) -> str:
    """Run a batch script where commands only say how they were called."""
    for name in ("srun", "fmrifm"):
        (command := folder / name).write_text(ECHO)
        command.chmod(0o755)
    (folder / "scontrol").write_text("#!/bin/sh\necho node1\necho node2\n")
    (folder / "scontrol").chmod(0o755)
    path = resource("scripts", "slurm", f"{script}.sbatch")
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", **variables}
    done = subprocess.run(["bash", path, *words], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_pretraining_starts_on_all_devices_and_goes_on_where_it_was(tmp_path):
    slurm = {"SLURM_JOB_NUM_NODES": "2", "SLURM_NTASKS_PER_NODE": "4"}
    (out := tmp_path / "run").mkdir()
    words = (str(out), "--store", "s.zarr")
    devices = "--trainer.num_nodes 2 --trainer.devices 4"
    assert run("pretrain", tmp_path, *words, **slurm) == f"srun fmrifm pretrain --out {out} --store s.zarr {devices}"
    (out / "config.yaml").touch()
    assert f"--out {out} --resume --store" in run("pretrain", tmp_path, *words, **slurm)


def test_torchrun_meets_on_the_first_node(tmp_path):
    slurm = {
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_GPUS_ON_NODE": "4",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "node[1-2]",
    }
    said = run("pretrain_torchrun", tmp_path, str(tmp_path / "run"), **slurm)
    assert said.startswith("srun torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-id 7")
    assert "--rdzv-endpoint node1:29500 -m fmrifm pretrain" in said
    assert said.endswith("--trainer.num_nodes 2 --trainer.devices 4")


def test_a_task_of_the_trial_does_its_share(tmp_path):
    slurm = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "10"}
    said = run("compare", tmp_path, "runs/trial", "--store", "s.zarr", **slurm)
    assert said == "fmrifm compare --out runs/trial --store s.zarr --shard 3/10"


def test_a_task_prepares_its_line(tmp_path):
    (datasets := tmp_path / "datasets.txt").write_text("--source a --out a.zarr\n--source b --out b.zarr\n")
    said = run("prepare", tmp_path, str(datasets), SLURM_ARRAY_TASK_ID="2", SLURM_CPUS_PER_TASK="8")
    assert said == "fmrifm prepare --source b --out b.zarr --jobs 8"
