"""Weights shared out over processes (FSDP), so that a model may be larger than one device holds."""

from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

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

    def optimizer_state(self, optimizer: Optimizer | LightningOptimizer) -> dict[str, Any]:
        """Gather an optimiser's state as it would be without shares; empty on all processes but the first.

        Lightning numbers weights as the model lists them, every other strategy as the optimiser's groups do.
        """
        own = optimizer.optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        named = get_optimizer_state_dict(
            self._whole(), own, options=StateDictOptions(full_state_dict=True, cpu_offload=True)
        )
        return _renamed(named, {name: number for number, name in enumerate(self._names(own))}) if named else {}

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a state that any strategy saved; every process takes its shares."""
        checkpoint = torch.load(checkpoint_path, map_location="cpu", weights_only=weights_only)
        model, options = self._whole(), StateDictOptions(full_state_dict=True)
        set_model_state_dict(model, checkpoint["state_dict"], options=options)
        for optimizer, numbered in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            named = _renamed(numbered, dict(enumerate(self._names(optimizer))))
            set_optimizer_state_dict(model, optimizer, named, options=options)
        return checkpoint

    def _whole(self) -> torch.nn.Module:
        return cast("torch.nn.Module", self.model)  # None only before Lightning's set-up

    def _names(self, optimizer: Optimizer) -> list[str]:
        """The weights' names, in the order in which the optimiser's groups number them."""
        names = {parameter: name for name, parameter in self._whole().named_parameters()}
        return [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]


def _renamed(state: dict[str, Any], names: dict[Any, Any]) -> dict[str, Any]:
    """An optimiser's state with other names for the weights."""
    return {
        "state": {names[name]: value for name, value in state["state"].items()},
        "param_groups": [{**group, "params": [names[p] for p in group["params"]]} for group in state["param_groups"]],
    }


def shard(model: MaskedAutoencoder, mesh: DeviceMesh) -> None:
    """Share out a model's weights in place, block by block: only one block's stand whole at a time."""
    shares = mesh["data_parallel"]
    for block in model.blocks:
        fully_shard(block, mesh=shares)
    fully_shard(model, mesh=shares)
    register_fsdp_forward_method(model, "foresee")


def whole_tensor(value: Tensor) -> Tensor:
    """Gather a tensor that may be shared out; every process has to ask."""
    return value.full_tensor() if isinstance(value, DTensor) else value
