"""Run `fmrifm prepare` on a SLURM cluster: start Dask workers through dask-jobqueue, then call the command.

    pip install 'fmrifm[cluster]'
    python scripts/prepare_slurm.py --workers 40 --queue short -- \
        --source athena --root adhd200 --out adhd200.zarr --atlas.path AAL3v1.nii.gz

What stands after `--` goes to `fmrifm prepare` as it is. Run it on a node that may submit jobs; nodes must see
the same folders. Killed, or out of time, the same call goes on where it stopped.
"""

import argparse
import sys

from dask_jobqueue import SLURMCluster

from fmrifm.cli import main as fmrifm


def main() -> int:
    """Start workers, prepare, stop them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=8, help="SLURM jobs, one process and one core each")
    parser.add_argument("--queue", help="partition")
    parser.add_argument("--account", help="account to charge")
    parser.add_argument("--walltime", default="02:00:00", help="of each job")
    parser.add_argument("--memory", default="4GB", help="of each job; a scan needs less than 1.2 GiB")
    parser.add_argument("prepare", nargs=argparse.REMAINDER, help="options of `fmrifm prepare`, after --")
    asked = parser.parse_args()
    options = [word for word in asked.prepare if word != "--"]
    with SLURMCluster(
        queue=asked.queue, account=asked.account, walltime=asked.walltime, cores=1, processes=1, memory=asked.memory
    ) as cluster:
        cluster.scale(jobs=asked.workers)
        address = cluster.scheduler_address.replace("tcp://", "dask://")
        return fmrifm(["prepare", *options, "--cluster", address])


if __name__ == "__main__":
    sys.exit(main())
