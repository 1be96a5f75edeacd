"""Weights shared out over processes (FSDP), so that a model may be larger than one device holds."""

from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from fmrifm.model.mae import MaskedAutoencoder


class ShardedStrategy(ModelParallelStrategy):
    """Every process holds a share of each weight, its gradient and its moments (Zhao et al. 2023, arXiv:2304.11277).

    It is PyTorch's second implementation, `fully_shard`, which keeps the axes of a weight, clips gradients by their
    norm and runs on the processor too. States are saved whole, so that a run may be resumed under another strategy.
    """

    def __init__(self) -> None:
        super().__init__(save_distributed_checkpoint=False)

    def setup_environment(self) -> None:
        """Share over all processes; by default Lightning would share within a node and repeat over nodes."""
        self._data_parallel_size, self._tensor_parallel_size = self.num_nodes * self.num_processes, 1
        super().setup_environment()


def shard(model: MaskedAutoencoder, mesh: DeviceMesh) -> None:
    """Share out a model's weights in place, block by block: only one block's stand whole at a time."""
    shares = mesh["data_parallel"]
    for block in (*model.encoder.blocks, *model.decoder.blocks):
        fully_shard(block, mesh=shares)
    fully_shard(model, mesh=shares)


def whole_tensor(value: Tensor) -> Tensor:
    """Gather a tensor that may be shared out; every process has to ask."""
    return value.full_tensor() if isinstance(value, DTensor) else value
